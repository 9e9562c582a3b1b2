"""Whether the reader of training still costs what it did: fails where its share of a raw read is 20 % higher.

    python benchmarks/check_input.py [--rounds 9] [--data FOLDER] [--update]

Compares the CPU ratios of input_readers.py with those in input_ratios.json, which `--update` writes. Times would be
those of one machine, and wall-clock ratios depend on its number of cores. Readers with too high a ratio are measured a
second time, and the lower one counts. Prints a line for each regression, and exits with 1 if there is one.
"""

import argparse
import json
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

from input_readers import OURS, RAW, Cost, add_data_option, measure, with_data
from measuring import count, machine, write_json

from models.features import Level

RATIOS = Path(__file__).with_name("input_ratios.json")
TOLERANCE = 1.2

# CPU time by level and reader, as a multiple of that of a raw read.
Ratios = dict[tuple[Level, str], float]


def ratios(costs: Collection[Cost]) -> Ratios:
    """CPU time as a multiple of a raw read's, without the raw read."""
    return {(cost.level, cost.reader): cost.cpu_ratio.median for cost in costs if cost.reader != RAW}


def read_ratios(file: Path) -> Ratios:
    """The committed ratios."""
    levels = json.loads(file.read_text())["cpu_ratios"]
    return {(level, reader): ratio for level, readers in levels.items() for reader, ratio in readers.items()}


def write_ratios(file: Path, ratios: Ratios) -> None:
    """Writes the ratios, and on what kind of machine they were measured."""
    levels: dict[str, dict[str, float]] = {}
    for (level, reader), ratio in ratios.items():
        levels.setdefault(level, {})[reader] = round(ratio, 3)
    write_json(file, {"machine": machine(), "cpu_ratios": levels})


def regressions(measured: Ratios, committed: Ratios) -> dict[tuple[Level, str], str]:
    """A line for each reader whose ratio is too high, or that only one of both knows."""
    lines = {}
    for key in sorted({*measured, *committed}):
        now, before, name = measured.get(key), committed.get(key), ", ".join(key)
        if now is None:
            lines[key] = f"{name}: has a ratio in {RATIOS.name}, but no such reader is measured: run with --update"
        elif before is None:
            lines[key] = f"{name}: has no ratio in {RATIOS.name}: run with --update"
        elif now > before * TOLERANCE:
            worse = f"{now / before - 1:.0%} more than {before:.3f}"
            lines[key] = f"{name}: {now:.3f} times the CPU time of a raw read, {worse}"
    return lines


def check(folder: Path, rounds: int, committed: Ratios) -> list[str]:
    """The lines to print, none if all is well."""
    measured = ratios(measure(folder, rounds, OURS))
    found = regressions(measured, committed)
    if found:
        again = {level: [name for name in names if (level, name) in found] for level, names in OURS.items()}
        second = ratios(measure(folder, rounds, again))
        found = regressions(measured | {key: min(measured[key], ratio) for key, ratio in second.items()}, committed)
    return list(found.values())


def main(options: Sequence[str] | None = None) -> None:
    """Prints regressions."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=count, default=9)
    parser.add_argument("--update", action="store_true", help=f"write {RATIOS.name} instead of comparing with it")
    add_data_option(parser)
    arguments = parser.parse_args(options)
    rounds = arguments.rounds
    if arguments.update:
        write_ratios(RATIOS, with_data(arguments.data, lambda folder: ratios(measure(folder, rounds, OURS))))
        return
    if not RATIOS.exists():
        parser.error(f"{RATIOS} does not exist: run with --update")
    committed = read_ratios(RATIOS)
    lines = with_data(arguments.data, lambda folder: check(folder, rounds, committed))
    print("\n".join(lines) or "input: no ratio is more than 20 % higher than the committed one")
    sys.exit(bool(lines))


if __name__ == "__main__":
    main()
