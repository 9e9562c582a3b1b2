"""How long commands take that import nothing large: help, lists and mistakes.

    python benchmarks/start_up.py [--rounds 7]

Starts each command in a process of its own, in rounds, so that a slow minute of the machine meets all of them. Prints
the median of a command's seconds, and how many times those of `python -c pass` they are.
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
    """Of a process, from its start to its end."""
    started = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description="Measure how fast yt8m answers.")
    parser.add_argument("--rounds", type=int, default=7, help="After one that is not counted.")
    arguments = parser.parse_args()
    commands = {"python -c pass": NOTHING} | {f"yt8m {words}": [YT8M, *words.split()] for words in COMMANDS}
    rounds = [[seconds(command) for command in commands.values()] for _ in range(arguments.rounds + 1)][1:]
    medians = dict(zip(commands, map(median, zip(*rounds, strict=True)), strict=True))
    for name, found in medians.items():
        print(f"{found:6.3f} s, {found / medians['python -c pass']:5.1f} times `python -c pass`: {name}")


if __name__ == "__main__":
    main()
