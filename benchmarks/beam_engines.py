"""Measures the Beam steps of a run in this process, on Prism and on Spark with one and two workers.

    python benchmarks/beam_engines.py [--videos 3000] [--only here prism spark-1 spark-2] [--json FILE]

`make bench-engines` fetches the engines first. Writes a synthetic frame-level set (266 KB a video) into a temporary
folder, or reads --data, runs the pipeline with a tiny training, and prints for each Beam step the seconds of wall
clock, and of CPU by the run, the engine and its workers together.
"""

import argparse
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import psutil
from local_engines import YT8M, Engine, prism, spark
from measuring import count, machine, table, write_json

STEPS = ("ExampleGen", "DatasetStatistics", "StatisticsGen", "Transform", "Evaluator")

# As small as a training can be: it is not what is measured.
SMALL = ("training.max_epochs=1", "training.batch_size=64", "model.hidden_units=[8]", "model.encoder.clusters=4")

START: dict[str, Callable[[Path], Engine]] = {
    "prism": prism,
    "spark-1": partial(spark, workers=1),
    "spark-2": partial(spark, workers=2),
}


def measure(name: str, data: Path, folder: Path) -> dict[str, list[float]]:
    """Seconds of wall clock and of CPU by step, of a run in this process (`here`) or on an engine."""
    folder.mkdir()
    engine: Engine | None = START[name](folder) if name in START else None
    try:
        settings = [word for setting in SMALL for word in ("--set", setting)]
        settings += engine.settings() if engine else []
        command = [YT8M, "run", "--data", data, "--experiment", "netvlad-8", "--out", folder / "run", *settings]
        with subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, text=True) as run:
            assert run.stdout
            processes = [run.pid, *(process.pid for process in (engine.processes if engine else ()))]
            costs, before = {}, (0.0, 0.0)
            for line in run.stdout:
                step, _, state = line.strip().partition(" ")
                if step in STEPS and state == "...":
                    before = time.monotonic(), _cpu_seconds(processes)
                elif step in STEPS and state.startswith("done,"):
                    costs[step] = [time.monotonic() - before[0], _cpu_seconds(processes) - before[1]]
        if run.returncode:
            raise RuntimeError(f"{name}: the run ended with code {run.returncode}")
    finally:
        if engine:
            engine.close()
    return costs


def _cpu_seconds(pids: list[int]) -> float:
    """CPU time of processes and of their children, also of those that have ended."""
    total = 0.0
    for pid in pids:
        for process in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                total += sum(process.cpu_times()[:4])
    return total


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="Measure Beam steps on engines.")
    parser.add_argument("--videos", type=count, default=3000)
    parser.add_argument("--data", type=Path, help="raw shards instead of synthetic ones, which hold --videos")
    parser.add_argument("--only", nargs="+", choices=("here", *START), default=["here", *START])
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        data = arguments.data or Path(temporary, "data")
        if not arguments.data:
            synth = [YT8M, "synth", "--level", "frame", "--videos", arguments.videos, "--labels", 20, data]
            subprocess.run([str(word) for word in synth], check=True, stdout=subprocess.DEVNULL)
        costs = {name: measure(name, data, Path(temporary, name)) for name in arguments.only}
    rows = [[step, *("{:.0f} / {:.0f}".format(*costs[name][step]) for name in costs)] for step in STEPS]
    print(f"{arguments.videos:,} videos, seconds of wall clock / CPU:\n{table(['step', *costs], rows)}", flush=True)
    if arguments.json:
        write_json(arguments.json, {"machine": machine(), "videos": arguments.videos, "wall_and_cpu_seconds": costs})


if __name__ == "__main__":
    main()
