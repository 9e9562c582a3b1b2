"""Measures the Beam steps of a run in this process, on Prism and on Spark with one and two workers.

    python benchmarks/beam_engines.py [--videos 3000] [--only here prism spark-1 spark-2] [--json FILE]

`make test-prism` and `make test-spark` fetch the engines. Writes a synthetic frame-level set (266 KB a video) into a
temporary folder, or reads --data, runs the pipeline with a tiny training, and prints the seconds of each Beam step.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from local_engines import YT8M, Engine, prism, spark
from measuring import count, machine, table, write_json

STEPS = ("ExampleGen", "DatasetStatistics", "StatisticsGen", "Transform", "Evaluator")

# As small as a training can be: it is not what is measured.
SMALL = ("training.max_epochs=1", "training.batch_size=64", "model.hidden_units=[8]", "model.encoder.clusters=2")

START: dict[str, Callable[[Path], Engine]] = {
    "prism": prism,
    "spark-1": partial(spark, workers=1),
    "spark-2": partial(spark, workers=2),
}


def measure(name: str, data: Path, folder: Path) -> dict[str, float]:
    """Seconds by step of a run in this process (`here`) or on an engine."""
    folder.mkdir()
    engine: Engine | None = START[name](folder) if name in START else None
    try:
        settings = [word for setting in SMALL for word in ("--set", setting)]
        settings += engine.settings() if engine else []
        command = [YT8M, "run", "--data", data, "--experiment", "netvlad-8", "--out", folder / "run", *settings]
        subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL)
    finally:
        if engine:
            engine.close()
    steps = json.loads((folder / "run" / "steps.json").read_text())
    return {step["name"]: step["seconds"] for step in steps if step["name"] in STEPS}


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="Measure Beam steps on engines.")
    parser.add_argument("--videos", type=count, default=3000)
    parser.add_argument("--data", type=Path, help="raw shards instead of synthetic ones, with their --videos")
    parser.add_argument("--only", nargs="+", choices=("here", *START), default=["here", *START])
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        data = arguments.data or Path(temporary, "data")
        if not arguments.data:
            synth = [YT8M, "synth", "--level", "frame", "--videos", arguments.videos, "--labels", 20, data]
            subprocess.run([str(word) for word in synth], check=True, stdout=subprocess.DEVNULL)
        seconds = {name: measure(name, data, Path(temporary, name)) for name in arguments.only}
    rows = [[step, *(f"{seconds[name][step]:.0f}" for name in seconds)] for step in STEPS]
    print(table(["seconds", *seconds], rows))
    if arguments.json:
        write_json(arguments.json, {"machine": machine(), "videos": arguments.videos, "seconds": seconds})
    sys.stdout.flush()


if __name__ == "__main__":
    main()
