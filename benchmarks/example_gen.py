"""Measures ExampleGen: its speed, and whether its memory grows with the number of videos.

    python benchmarks/example_gen.py [--videos 2000 8000] [--labels 100]

Writes synthetic frame-level sets into a temporary folder (266 KB a video) and ingests each in its own process. Prints
a line for each set and the ratios of the largest to the smallest.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from input_data import ingest
from measuring import Worker, answer

from components.readable_log import import_tensorflow


def measure(videos: int, labels: int) -> dict[str, float]:
    """Ingests a set of this size; returns seconds, and the memory of the process after imports and at its peak."""
    with tempfile.TemporaryDirectory() as folder:
        data, out = Path(folder, "data"), Path(folder, "out")
        yt8m = Path(sys.executable).with_name("yt8m")
        synth = [yt8m, "synth", "--level", "frame", "--videos", videos, "--labels", labels, "--seed", 1, data]
        subprocess.run([str(part) for part in synth], check=True, stdout=subprocess.DEVNULL)
        with Worker([__file__, "--worker", data, out, labels]) as worker:
            return worker.ask("ingest")


def work(data: str, out: str, labels: str) -> None:
    """Answers the parent's question `ingest`."""
    import_tensorflow()
    from tfx import v1 as tfx  # noqa: F401

    from components.example_gen.component import ExampleGenExecutor  # noqa: F401

    def measured() -> dict[str, float]:
        before, started = _peak_mb(), time.monotonic()
        ingest(Path(data), Path(out), "frame", int(labels), split="file:80/10/10")
        return {"seconds": time.monotonic() - started, "imported_mb": before, "peak_mb": _peak_mb()}

    answer({"ingest": measured})


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description="Measure ExampleGen.")
    parser.add_argument("--videos", type=int, nargs="+", default=[2000, 8000])
    parser.add_argument("--labels", type=int, default=100)
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        return work(*arguments.worker)
    results = {videos: measure(videos, arguments.labels) for videos in sorted(arguments.videos)}
    for videos, result in results.items():
        print(
            f"{videos} videos: {videos / result['seconds']:.0f} videos a second, "
            f"peak {result['peak_mb']:.0f} MB ({result['imported_mb']:.0f} MB of it are imports)"
        )
    few, many = min(results), max(results)
    first, last = results[few], results[many]
    print(
        f"{many / few:g} times the videos: {last['peak_mb'] / first['peak_mb']:.2f} times the peak memory, "
        f"{(many / last['seconds']) / (few / first['seconds']):.2f} times the speed"
    )


if __name__ == "__main__":
    main()
