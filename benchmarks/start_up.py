"""Time of commands that need no large import: help, lists and mistakes.

    python benchmarks/start_up.py [--rounds 7]

Starts each command in its own process, in rounds, so that a slow minute of the machine affects all of them. Prints a
command's median seconds and their ratio to those of `python -c pass`.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

YT8M = str(Path(sys.executable).with_name("yt8m"))
NOTHING = [sys.executable, "-c", "pass"]
COMMANDS = (
    "--help",
    "run --help",
    "submit --help",
    "experiments",
    "experiments show thesis-best",
    "run --data nowhere --experiment nope",
    "stats --data nowhere --split half",
    "report nowhere",
)


def seconds(command: list[str]) -> float:
    """Seconds of a process from start to end."""
    started = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description="Measure how fast yt8m answers.")
    parser.add_argument("--rounds", type=int, default=7, help="After a first round that is not counted.")
    arguments = parser.parse_args()
    commands = {"python -c pass": NOTHING} | {f"yt8m {words}": [YT8M, *words.split()] for words in COMMANDS}
    rounds = [[seconds(command) for command in commands.values()] for _ in range(arguments.rounds + 1)][1:]
    medians = dict(zip(commands, map(median, zip(*rounds, strict=True)), strict=True))
    for name, typical in medians.items():
        print(f"{typical:6.3f} s, {typical / medians['python -c pass']:5.1f} times `python -c pass`: {name}")


if __name__ == "__main__":
    main()
