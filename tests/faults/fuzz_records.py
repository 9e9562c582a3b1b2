"""Mutated shards through the readers of `stats`, `predict` and ingest: no crash, no hang, no record lost silently.

Half of the mutations change bytes of a file, half a record within intact framing. TensorFlow's reader counts the
intact records independently.
"""

import argparse
import random
import signal
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import tensorflow as tf

from components.dataset_statistics.raw_shards import count_shard
from components.example_gen.ingest import RejectedRecord, Shard, read_shard
from components.example_gen.input_files import find_files
from components.example_gen.packing import InvalidRecord, PackedVideo, level_of
from components.example_gen.splits import SplitPolicy
from components.example_gen.tfrecord import write_record
from models.features import YT8M_CLASSES, Level

# For one mutated shard; it takes milliseconds.
SECONDS = 60


def flip(content: bytearray, draw: random.Random) -> None:
    for _ in range(draw.choice((1, 1, 8, 100))):
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)


def cut(content: bytearray, draw: random.Random) -> None:
    del content[draw.randrange(len(content)) :]


def drop(content: bytearray, draw: random.Random) -> None:
    begin = draw.randrange(len(content))
    del content[begin : begin + draw.randrange(1, 5000)]


def repeat(content: bytearray, draw: random.Random) -> None:
    begin = draw.randrange(len(content))
    content[begin:begin] = content[begin : begin + draw.randrange(1, 5000)]


def zeros(content: bytearray, draw: random.Random) -> None:
    begin, size = draw.randrange(len(content)), draw.randrange(1, 5000)
    content[begin : begin + size] = bytes(size)


def noise(content: bytearray, draw: random.Random) -> None:
    begin = draw.randrange(len(content))
    content[begin:begin] = draw.randbytes(draw.randrange(1, 5000))


def length(content: bytearray, draw: random.Random) -> None:
    begin = draw.randrange(max(len(content) - 8, 1))
    content[begin : begin + 8] = struct.pack("<Q", draw.choice((0, 1, 2**31, 2**40, 2**63, draw.randrange(2**20))))


MUTATIONS: tuple[Callable[[bytearray, random.Random], None], ...] = (flip, cut, drop, repeat, zeros, noise, length)


def mutated_file(records: list[bytes], draw: random.Random, path: Path) -> None:
    """Changes bytes anywhere in a file, which may be compressed, before or after."""
    write(records, path)
    content = bytearray(path.read_bytes())
    compressed = draw.random() < 0.1
    if compressed and draw.random() < 0.5:
        content = bytearray(zlib.compress(bytes(content)))
    draw.choice(MUTATIONS)(content, draw)
    path.write_bytes(bytes(content))


def mutated_record(records: list[bytes], draw: random.Random, path: Path) -> None:
    """Changes one record within intact framing."""
    records = list(records)
    place = draw.randrange(len(records))
    content = bytearray(records[place])
    draw.choice(MUTATIONS)(content, draw)
    records[place] = bytes(content)
    write(records, path)


def write(records: list[bytes], path: Path) -> None:
    with path.open("wb") as file:
        for record in records:
            write_record(file, record)


def whole_records(path: Path) -> int:
    """Number of records that TensorFlow reads before the first damage."""
    count = 0
    try:
        for _ in tf.data.TFRecordDataset(str(path)):
            count += 1
    except tf.errors.OpError:
        pass
    return count


def check(path: Path, level: Level) -> list[str]:
    """Problems with a shard."""
    if not path.stat().st_size:
        return []
    [file] = find_files(str(path)).files
    ingested = list(read_shard(file, level, YT8M_CLASSES, ["channel"]))
    predicted = list(read_shard(file, level, None))
    counted = count_shard(Shard(file, 0, 1, None), SplitPolicy.parse("id:80/10/10"), level, YT8M_CLASSES)
    problems = []
    if counted.summary.records != len(ingested):
        problems.append(f"stats has {counted.summary.records} records, ingest {len(ingested)}")
    if [str(record) for record in counted.rejected] != [str(record) for record in ingested if is_rejected(record)]:
        problems.append("stats and ingest give different reasons")
    if len(predicted) != len(ingested):
        problems.append(f"predict has {len(predicted)} records, ingest {len(ingested)}")
    for by_ingest, by_predict in zip(ingested, predicted, strict=False):
        # predict ignores labels.
        if is_rejected(by_predict) and str(by_ingest) != str(by_predict) and "label" not in str(by_ingest):
            problems.append(f"ingest: {by_ingest}; predict: {by_predict}")
    if len(ingested) < whole_records(path):
        problems.append(f"{len(ingested)} records, TensorFlow reads {whole_records(path)}")
    reasons = [record.reason for record in ingested if isinstance(record, RejectedRecord)]
    unreadable = [reason for reason in reasons if len(reason) > 600 or not reason.isprintable()]
    return problems + [f"long or unprintable: {reason[:80]!r}" for reason in unreadable]


def is_rejected(record: PackedVideo | RejectedRecord) -> bool:
    return isinstance(record, RejectedRecord)


def too_long(number: int, frame: FrameType | None) -> None:
    raise TimeoutError(f"more than {SECONDS} s")


def fuzz(shards: list[Path], number: int, seed: int) -> tuple[Counter[str], list[str]]:
    """Counts of mutations and records, and the problems."""
    draw, counts, problems = random.Random(seed), Counter[str](), []
    contents: list[tuple[Level, list[bytes]]] = []
    for shard in shards:
        records = [record.numpy() for record in tf.data.TFRecordDataset(str(shard)).take(12)]
        contents.append((level_of(records[0]), records))
    signal.signal(signal.SIGALRM, too_long)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        for place in range(number):
            level, records = draw.choice(contents)
            path = Path(folder, f"{place}.tfrecord")
            draw.choice((mutated_file, mutated_record))(records, draw, path)
            signal.alarm(SECONDS)
            try:
                failed = check(path, level)
                for record in read_shard(find_files(str(path)).files[0], level, YT8M_CLASSES):
                    counts["rejected" if is_rejected(record) else "videos"] += 1
            except InvalidRecord as error:
                failed = [f"InvalidRecord escaped: {error}"]
            except Exception as error:
                failed = [f"{type(error).__name__}: {error}"]
            finally:
                signal.alarm(0)
            counts["mutations"] += 1
            problems += [f"seed {seed}, mutation {place}: {problem}" for problem in failed]
            path.unlink()
    return counts, problems


def main() -> int:
    """Prints counts; returns 1 if there were problems."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=Path, help="folder of shards (default: synthetic ones)")
    parser.add_argument("--records", type=int, default=2000, help="number of mutations")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as temporary:
        if not options.shards:
            yt8m = Path(sys.executable).with_name("yt8m")
            for level in ("video", "frame"):
                command = (yt8m, "synth", "--level", level, "--videos", "40", "--labels", "7", f"{temporary}/{level}")
                subprocess.run(command, check=True)
        started = time.monotonic()
        shards = sorted((options.shards or Path(temporary)).rglob("*.tfrecord"))
        # A few of each folder.
        few = [path for folder in {path.parent for path in shards} for path in sorted(folder.glob("*.tfrecord"))[:3]]
        counts, problems = fuzz(sorted(few), options.records, options.seed)
    for problem in problems[:20]:
        print(problem)
    print(f"{dict(counts)} in {time.monotonic() - started:.0f} s; {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
