"""What reading costs: the reader of training, a raw read of the same files, a memcpy of their bytes, and other readers.

    python benchmarks/input_readers.py [--levels frame video] [--rounds 9] [--data FOLDER] [--json FILE]

Each reader runs in its own process, without a GPU, and they take turns: in each round, each reads all videos of the
train split once (the starter's style: as many from the raw shards). A first round, which fills the page cache, is not
counted. A batch counts as read when an operation of
TensorFlow has taken its tensors. Figures are medians over rounds, with their range in brackets; ratios are to the raw
read of the same round: `TFRecordDataset` in batches, without parsing. Memory is anonymous, at its peak, above what the
process had after its imports.
"""

import argparse
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from input_data import InputData
from measuring import (
    Spread,
    Worker,
    anonymous_memory,
    answer,
    count,
    folder,
    in_turns,
    machine,
    measured,
    table,
    write_json,
)

from components.readable_log import import_tensorflow
from models.features import Level

# Enough for epochs of many batches: the first ones cost more, as their memory is new.
VIDEOS: dict[Level, int] = {"frame": 4000, "video": 60_000}

RAW = "raw read"

# The reader of training; see readers.py.
OURS: dict[Level, tuple[str, ...]] = {
    "frame": ("all frames", "30 random frames", "window of 30", "stride to 30"),
    "video": ("means",),
}
READERS: dict[Level, tuple[str, ...]] = {
    "frame": (RAW, "memcpy", *OURS["frame"], "before: all frames", "before: 30 random frames", "starter style"),
    "video": (RAW, "memcpy", *OURS["video"], "before: means", "starter style"),
}
COLUMNS = ("level", "reader", "CPU ms a video", "wall ms a video", "CPU / raw", "wall / raw", "memory MB")

# Of a round: seconds `cpu`, seconds `wall`, MB `memory`.
Round = Mapping[str, float]


@dataclass(frozen=True)
class Cost:
    """What a reader costs a video in ms, what that is of a raw read in the same round, and MB in all."""

    level: Level
    reader: str
    cpu: Spread
    wall: Spread
    cpu_ratio: Spread
    wall_ratio: Spread
    memory: float

    @classmethod
    def of(cls, level: Level, reader: str, rounds: Sequence[Round], raw: Sequence[Round], videos: int) -> "Cost":
        """Of a reader's rounds and those of the raw read, in the same order."""

        def milliseconds(kind: str) -> Spread:
            return Spread.of([1000 * usage[kind] / videos for usage in rounds])

        def ratio(kind: str) -> Spread:
            return Spread.of([ours[kind] / theirs[kind] for ours, theirs in zip(rounds, raw, strict=True)])

        memory = max(usage["memory"] for usage in rounds)
        return cls(level, reader, milliseconds("cpu"), milliseconds("wall"), ratio("cpu"), ratio("wall"), memory)

    @property
    def row(self) -> list[str]:
        """The cells of a line of the table."""
        times = (f"{self.cpu:.3g}", f"{self.wall:.3g}")
        return [
            self.level,
            self.reader,
            *times,
            f"{self.cpu_ratio.median:.2f}",
            f"{self.wall_ratio.median:.2f}",
            f"{self.memory:.0f}",
        ]


def measure(folder: Path, rounds: int, readers: Mapping[Level, Collection[str]]) -> list[Cost]:
    """Measures readers by level, always beside a raw read.

    Args:
        folder: has a folder with the data of each level, or gets one.
        rounds: that are counted.
        readers: names from READERS; a level without any is left out.
    """
    costs = []
    for level, names in readers.items():
        if not names:
            continue
        data = InputData.write(folder / level, level, VIDEOS[level])
        with ExitStack() as stack:
            workers = {
                name: stack.enter_context(_worker(folder / level, name))
                for name in READERS[level]
                if name in {RAW, *names}
            }
            in_turns(workers, "read", 1)
            answers = in_turns(workers, "read", rounds)
        raw = answers[RAW]
        costs += [Cost.of(level, name, usages, raw, data.train_videos) for name, usages in answers.items()]
    return costs


def _worker(folder: Path, reader: str) -> Worker:
    return Worker([__file__, "--worker", folder, reader], {"CUDA_VISIBLE_DEVICES": "-1"})


def work(folder: Path, name: str) -> None:
    """Answers the parent's question `read`: what a reading of all videos cost."""
    import_tensorflow()
    from readers import consume, reader

    imported = anonymous_memory()
    data = InputData.read(folder)
    batches = reader(data, name)

    def read() -> dict[str, float]:
        with measured() as usage:
            for batch in batches():
                consume(batch)
        return asdict(usage) | {"memory": usage.memory - imported}

    answer({"read": read})


def add_data_option(parser: argparse.ArgumentParser) -> None:
    """`--data`, which the scripts that read share."""
    parser.add_argument("--data", type=folder, metavar="FOLDER", help="keep the data here, for later calls (3 GB)")


def with_data(data: Path | None, work: Callable[[Path], Any]) -> Any:
    """What `work(folder)` returns; without a folder it gets a temporary one."""
    if data:
        return work(data)
    with tempfile.TemporaryDirectory() as temporary:
        return work(Path(temporary))


def main(options: Sequence[str] | None = None) -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--levels", nargs="+", choices=READERS, default=list(READERS))
    parser.add_argument("--rounds", type=count, default=9)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here, too")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    add_data_option(parser)
    arguments = parser.parse_args(options)
    if arguments.worker:
        return work(Path(arguments.worker[0]), arguments.worker[1])
    chosen = {level: READERS[level] for level in arguments.levels}
    costs = with_data(arguments.data, lambda folder: measure(folder, arguments.rounds, chosen))
    print(table(COLUMNS, [cost.row for cost in costs]))
    if arguments.json:
        kinds = {"machine": machine(), "rounds": arguments.rounds, "videos": VIDEOS}
        write_json(arguments.json, kinds | {"readers": [asdict(cost) for cost in costs]})


if __name__ == "__main__":
    main()
