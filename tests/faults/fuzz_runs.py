"""Sets of mutated shards through whole runs: each ends with scores, and every record is accounted for.

The records that must arrive are counted without our own readers: those whose framing is unchanged in the mutated file.
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import tensorflow as tf
from fuzz_records import MUTATIONS, mutated_record

YT8M = str(Path(sys.executable).with_name("yt8m"))

# Limit for a run, which takes half a minute.
SECONDS = 600


def mutated_set(shards: list[Path], folder: Path, draw: random.Random) -> tuple[int, int]:
    """Copies shards, some of them mutated; the number of whole records, and of records where only contents changed.

    Half of the sets have changed bytes anywhere, half have changed records within intact framing.
    """
    folder.mkdir()
    within = draw.random() < 0.5
    whole = 0
    for shard in shards:
        path = folder / shard.name
        records = [record.numpy() for record in tf.data.TFRecordDataset(str(shard))]
        frames = split_frames(shard.read_bytes())
        if draw.random() < 0.5:
            shutil.copy(shard, path)
        elif within:
            mutated_record(records, draw, path)
        else:
            content = bytearray(shard.read_bytes())
            for _ in range(draw.choice((1, 1, 3))):
                if content:
                    draw.choice(MUTATIONS)(content, draw)
            path.write_bytes(content)
        content = path.read_bytes()
        whole += sum(frame in content for frame in frames)
    return whole, sum(len(split_frames(shard.read_bytes())) for shard in shards) if within else 0


def split_frames(content: bytes) -> list[bytes]:
    """The framed records of a whole file: length, its checksum, content, its checksum."""
    frames, begin = [], 0
    while begin < len(content):
        end = begin + 8 + 4 + int.from_bytes(content[begin : begin + 8], "little") + 4
        frames.append(content[begin:end])
        begin = end
    return frames


def problems_of(out: Path, data: Path, whole: int, exactly: int) -> tuple[str, list[str]]:
    """What a run came to, and what did not hold of it."""
    settings = ("data.quarantine_limit=1", "training.max_epochs=1")
    command = [
        YT8M,
        "run",
        "--data",
        str(data),
        "--experiment",
        "average-576",
        "--split",
        "id:60/20/20",
        "--out",
        str(out),
    ]
    command += [word for setting in settings for word in ("--set", setting)]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, cwd=out.parent)
    except subprocess.TimeoutExpired:
        return "hung", [f"more than {SECONDS} s"]
    printed = ran.stdout + ran.stderr
    problems = ["a stack trace"] * ("Traceback" in printed)
    if ran.returncode:  # enough is left of each set for a run
        return f"exit code {ran.returncode}", [*problems, printed[-500:]]
    [summary_file] = out.glob("pipeline_root/ExampleGen/quarantine/*/summary.json")
    summary = json.loads(summary_file.read_text())
    videos, rejected = summary["videos"], summary["quarantined"]
    if exactly and sum(videos.values()) + rejected != exactly:
        problems.append(f"{exactly} records in, {videos} + {rejected} out")
    if sum(videos.values()) + rejected < whole:
        problems.append(f"{whole} whole records in, {videos} + {rejected} out")
    for step in ("ExampleGen/examples", "Transform/transformed_examples"):
        for split, number in videos.items():
            files = list(map(str, out.glob(f"pipeline_root/{step}/*/Split-{split}/*")))
            kind = "GZIP" if files[0].endswith(".gz") else ""
            written = sum(1 for _ in tf.data.TFRecordDataset(files, compression_type=kind))
            if written != number:
                problems.append(f"{step} has {written} videos in {split}, the summary {number}")
    scored = {name: split["videos"] for name, split in json.loads((out / "scores.json").read_text())["splits"].items()}
    if scored != videos:
        problems.append(f"scores of {scored} videos, ingested {videos}")
    if rejected and f"{rejected}" not in printed:
        problems.append(f"{rejected} rejected, which is not printed")
    return f"{sum(videos.values())} videos, {rejected} rejected", problems


def main() -> int:
    """Prints a line for each set; returns 1 if there were problems."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=Path, help="folder of video-level shards (default: synthetic ones)")
    parser.add_argument("--sets", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    draw, failed, started = random.Random(options.seed), 0, time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as temporary:
        source = options.shards or Path(temporary, "source")
        if not options.shards:
            subprocess.run([YT8M, "synth", "--level", "video", "--videos", "400", "--labels", "7", source], check=True)
        shards = sorted(source.glob("*.tfrecord"))[:10]
        for number in range(options.sets):
            data, out = Path(temporary, f"data-{number}"), Path(temporary, f"out-{number}")
            outcome, problems = problems_of(out, data, *mutated_set(shards, data, draw))
            print(f"set {number:3}: {outcome}  {'; '.join(problems) or 'held'}", flush=True)
            failed += bool(problems)
            if not problems:
                shutil.rmtree(out, ignore_errors=True)
    print(f"{options.sets} sets in {time.monotonic() - started:.0f} s; {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
