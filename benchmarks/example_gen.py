"""Measures ExampleGen: its speed, and whether its memory grows with the number of videos.

    python benchmarks/example_gen.py [--videos 2000 8000] [--labels 100]

Writes synthetic frame-level sets into a temporary folder (266 KB a video) and ingests each in its own process. Prints
a line for each set and the ratios of the largest to the smallest.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

INGEST = """
import json, os, resource, sys, time
from tfx import v1 as tfx
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from components.example_gen.component import ExampleGenDriver, ExampleGenExecutor, Quarantine

data, out, labels = sys.argv[1:]
examples, quarantine = tfx.types.standard_artifacts.Examples(), Quarantine()
examples.uri, quarantine.uri = f"{out}/examples", f"{out}/quarantine"
os.makedirs(examples.uri)
properties = ExampleGenDriver(None).resolve({}, {
    "data": data, "test_data": "", "split": "file:80/10/10", "seed": 0, "level": "frame", "classes": int(labels),
    "kept_features": "[]", "quarantine_limit": 0.0, "sources": "", "spans": 1,
})
before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
context = BaseBeamExecutor.Context(beam_pipeline_args=["--runner=FnApiRunner"], tmp_dir=out, unique_id="1")
ExampleGenExecutor(context).Do({}, {"examples": [examples], "quarantine": [quarantine]}, properties)
seconds, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"seconds": seconds, "imported_mb": before / 1024, "peak_mb": after / 1024}))
"""


def measure(videos: int, labels: int) -> dict[str, float]:
    """Ingests a set of this size; returns seconds, and the memory of the process after imports and at its peak."""
    with tempfile.TemporaryDirectory() as folder:
        data, out = Path(folder, "data"), Path(folder, "out")
        yt8m = Path(sys.executable).with_name("yt8m")
        synth = [yt8m, "synth", "--level", "frame", "--videos", videos, "--labels", labels, "--seed", 1, data]
        subprocess.run([str(part) for part in synth], check=True, stdout=subprocess.DEVNULL)
        command = [sys.executable, "-c", INGEST, str(data), str(out), str(labels)]
        process = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        return json.loads(process.stdout.splitlines()[-1])


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description="Measure ExampleGen.")
    parser.add_argument("--videos", type=int, nargs="+", default=[2000, 8000])
    parser.add_argument("--labels", type=int, default=100)
    arguments = parser.parse_args()
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
