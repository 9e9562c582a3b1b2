"""Time and memory of the Evaluator with all metrics, slices and intervals, against prediction alone.

    python benchmarks/evaluator.py [--videos 1000 20000 | --data FOLDER] [--rounds 5] [--level frame]

A small model of 3862 labels evaluates synthetic videos, or four fifths of the videos in a folder of shards. Each
evaluation runs in its own process, and the two kinds take turns; the ratio is the median over turns. Seconds do not
include the start of the process.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CLASSES = 3862
KINDS = ("prediction", "everything")
EXPERIMENTS = {"video": "average-2304-1152", "frame": "netvlad-8"}
YT8M = str(Path(sys.executable).with_name("yt8m"))

# Share of the videos in the test split.
TEST_SHARE = 0.8


def main() -> None:
    """Prints a line for each number of videos."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, nargs="+", default=[1000])
    parser.add_argument("--data", help="real shards of the level, without a vocabulary of their own")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--level", choices=EXPERIMENTS, default="video")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(evaluate(Path(arguments.worker[0]), arguments.worker[1], arguments.level)))
        return
    print("| videos | prediction s | everything s | ratio | prediction MB | everything MB |")
    print("|---|---|---|---|---|---|")
    for videos in arguments.videos if not arguments.data else [0]:
        with tempfile.TemporaryDirectory() as folder:
            train(folder, arguments.data or synthesize(folder, videos, arguments.level), arguments.level)
            turns = [{kind: _worker(folder, kind, arguments.level) for kind in KINDS} for _ in range(arguments.rounds)]
        medians = {
            key: statistics.median(turn[kind][key[1]] for turn in turns) for key in MEASURES for kind in [key[0]]
        }
        ratio = statistics.median(turn["everything"]["seconds"] / turn["prediction"]["seconds"] for turn in turns)
        shown = [f"{turns[0]['everything']['videos']:,}", *(f"{medians[kind, 'seconds']:.1f}" for kind in KINDS)]
        shown += [f"{ratio:.2f}", *(f"{medians[kind, 'megabytes']:,.0f}" for kind in KINDS)]
        print(f"| {' | '.join(shown)} |", flush=True)


MEASURES = [(kind, measure) for kind in KINDS for measure in ("seconds", "megabytes")]


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


def _worker(folder: str, kind: str, level: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--worker", folder, kind, "--level", level]
    process = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return json.loads(process.stdout.splitlines()[-1])


def evaluate(folder: Path, kind: str, level: str) -> dict[str, float]:
    """Seconds and peak memory of one evaluation of the test split."""
    import apache_beam as beam

    from components.evaluator.analysis import analyze, eval_config
    from components.evaluator.label_groups import label_groups
    from components.evaluator.verdict import CANDIDATE

    import tensorflow_model_analysis as tfma  # isort: skip  (after TFX)

    [examples] = folder.glob("run/pipeline_root/ExampleGen/examples/*/Split-test")
    [model] = folder.glob("run/pipeline_root/Trainer/model/*/Format-Serving")
    groups = label_groups(list(range(CLASSES)), [str(label) for label in range(CLASSES)], verticals=())
    config = eval_config({CANDIDATE: 0.3}, CLASSES, level, [], [], groups)  # type: ignore[arg-type]
    if kind == "prediction":
        del config.metrics_specs[0].metrics[1]
        config.metrics_specs[0].per_slice_thresholds.clear()
    started = time.perf_counter()
    with beam.Pipeline(argv=["--runner=FnApiRunner"]) as pipeline:
        analyze(pipeline, [f"{examples}/*"], {CANDIDATE: str(model)}, config, str(folder / kind))
    seconds = time.perf_counter() - started
    result = tfma.load_eval_result(str(folder / kind))
    [overall] = [metrics for part, metrics in result.slicing_metrics if not part]
    videos = overall[""][""]["example_count"]["doubleValue"]
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": seconds, "megabytes": megabytes, "videos": int(videos)}


if __name__ == "__main__":
    main()
