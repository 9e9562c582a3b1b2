"""Time and memory of the Evaluator with all metrics, slices and intervals, against prediction alone.

    python benchmarks/evaluator.py [--data FOLDER] [--videos 1000 20000] [--rounds 5] [--level frame]

A small model of 3862 labels evaluates synthetic videos, or four fifths of the videos in a folder of shards: some, then
all of them. "Everything" is prediction and metrics; a ratio is its time over that of prediction alone in the same
pipeline. Each evaluation runs in its own process, and the two kinds take turns; a ratio is the median over turns, CPU
ratios with the lowest and the highest. CPU time is that of all threads and child processes. No time includes the start
of a process.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from unittest.mock import patch

CLASSES = 3862
KINDS = ("prediction", "everything")
EXPERIMENTS = {"video": "average-2304-1152", "frame": "netvlad-8"}
YT8M = str(Path(sys.executable).with_name("yt8m"))

# Share of the videos in the test split.
TEST_SHARE = 0.8

COLUMNS = ("videos", "prediction CPU s", "everything CPU s", "CPU ratio", "prediction s", "everything s", "ratio")
MEMORY = ("prediction MB", "everything MB")


def main() -> None:
    """Prints a line for each number of videos."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, nargs="+", default=[1000])
    parser.add_argument("--data", help="real shards of the level, without a vocabulary of their own")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--level", choices=EXPERIMENTS, default="video")
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        folder, kind, videos = arguments.worker
        print(json.dumps(evaluate(Path(folder), kind, int(videos), arguments.level)))
        return
    print(f"| {' | '.join(COLUMNS + MEMORY)} |\n|{'---|' * len(COLUMNS + MEMORY)}")
    with tempfile.TemporaryDirectory() as folder:
        data = arguments.data or synthesize(folder, max(arguments.videos), arguments.level)
        train(folder, data, arguments.level)
        for videos in [*arguments.videos, *([sys.maxsize] if arguments.data else [])]:
            worker = [sys.executable, __file__, "--level", arguments.level, "--worker", folder]
            turns = [{kind: _measure([*worker, kind, str(videos)]) for kind in KINDS} for _ in range(arguments.rounds)]
            print(f"| {' | '.join(_cells(turns))} |", flush=True)


def _measure(worker: list[str]) -> dict[str, float]:
    process = subprocess.run(worker, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return json.loads(process.stdout.splitlines()[-1])


def _cells(turns: list[dict[str, dict[str, float]]]) -> list[str]:
    """The cells of a line, from the measures of both kinds in each turn."""
    cells = [f"{turns[0]['everything']['videos']:,}"]
    for measure in ("cpu", "seconds"):
        cells += [f"{statistics.median(turn[kind][measure] for turn in turns):.1f}" for kind in KINDS]
        ratios = sorted(turn["everything"][measure] / turn["prediction"][measure] for turn in turns)
        spread = f" ({ratios[0]:.2f} to {ratios[-1]:.2f})" if measure == "cpu" else ""
        cells.append(f"{statistics.median(ratios):.2f}{spread}")
    return cells + [f"{statistics.median(turn[kind]['megabytes'] for turn in turns):,.0f}" for kind in KINDS]


def synthesize(folder: str, videos: int, level: str) -> str:
    """Writes so many videos that about `videos` are in the test split; returns their folder."""
    data, count = f"{folder}/data", str(round(videos / TEST_SHARE))
    synth = [YT8M, "synth", "--level", level, "--videos", count, "--labels", str(CLASSES), data]
    subprocess.run(synth, check=True, stdout=subprocess.DEVNULL)
    return data


def train(folder: str, data: str, level: str) -> None:
    """One epoch on a tenth of the videos; examples and model stay in the run's artifacts."""
    run = [YT8M, "run", "--data", data, "--experiment", EXPERIMENTS[level], "--out", f"{folder}/run"]
    run += ["--split", "id:10/10/80", "--set", "training.max_epochs=1"]
    subprocess.run(run, check=True, stdout=subprocess.DEVNULL)


def evaluate(folder: Path, kind: str, videos: int, level: str) -> dict[str, float]:
    """Time and peak memory of one evaluation of about so many videos of the test split: whole files of it."""
    import apache_beam as beam

    from components.evaluator.analysis import analyze, eval_config
    from components.evaluator.label_groups import label_groups
    from components.evaluator.verdict import CANDIDATE
    import tensorflow_model_analysis as tfma  # isort: skip  (after TFX)

    [examples] = folder.glob("run/pipeline_root/ExampleGen/examples/*/Split-test")
    [model] = folder.glob("run/pipeline_root/Trainer/model/*/Format-Serving")
    # Beam reads one pattern of many files in less memory than many patterns.
    files = Path(tempfile.mkdtemp(dir=folder))
    for file in sorted(examples.iterdir()):
        if videos > 0:
            (files / file.name).symlink_to(file)
            videos -= _records(file)
    groups = label_groups(list(range(CLASSES)), [str(label) for label in range(CLASSES)], verticals=())
    config = eval_config({CANDIDATE: 0.3}, CLASSES, level, [], [], groups)  # type: ignore[arg-type]
    if kind == "prediction":
        del config.metrics_specs[0].metrics[1]
        config.metrics_specs[0].per_slice_thresholds.clear()
    # Prediction alone needs no outcomes.
    extractors = patch("components.evaluator.analysis.with_outcomes", list) if kind == "prediction" else nullcontext()
    started, times = time.perf_counter(), os.times()
    with extractors, beam.Pipeline(argv=["--runner=FnApiRunner"]) as pipeline:
        analyze(pipeline, [f"{files}/*"], {CANDIDATE: str(model)}, config, str(folder / kind))
    seconds, cpu = time.perf_counter() - started, sum(os.times()[:4]) - sum(times[:4])
    result = tfma.load_eval_result(str(folder / kind))
    [overall] = [metrics for part, metrics in result.slicing_metrics if not part]
    evaluated = overall[""][""]["example_count"]["doubleValue"]
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"cpu": cpu, "seconds": seconds, "megabytes": megabytes, "videos": int(evaluated)}


def _records(file: Path) -> int:
    """How many records an uncompressed TFRecord file has."""
    records = 0
    with file.open("rb") as content:
        while length := content.read(8):
            content.seek(4 + int.from_bytes(length, "little") + 4, os.SEEK_CUR)
            records += 1
    return records


if __name__ == "__main__":
    main()
