"""Measures `yt8m predict`: its speed, and whether its memory grows with the number of videos.

    python benchmarks/predict.py MODEL [--level frame] [--videos 250 1000] [--labels 60] [--data FOLDER]

MODEL is a run folder. Writes synthetic sets into a temporary folder (266 KB a frame-level video), or reads a folder of
raw shards. Prints for each set the videos a second, start included, the seconds and the peak memory of the command, and
the ratio of the largest set's memory to the smallest's.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

YT8M = str(Path(sys.executable).with_name("yt8m"))


def measure(model: str, data: Path, out: Path) -> dict[str, float]:
    """Number of videos, seconds and peak megabytes of the command."""
    command = [YT8M, "predict", model, "--data", str(data), "--out", str(out), "--json"]
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    with process.stdout as output:
        summary = json.load(output)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0
    return {"videos": summary["videos"], "seconds": time.monotonic() - started, "peak": usage.ru_maxrss / 1024}


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description="Measure yt8m predict.")
    parser.add_argument("model", help="A run folder.")
    parser.add_argument("--level", choices=["video", "frame"], default="frame")
    parser.add_argument("--videos", type=int, nargs="+", default=[250, 1000])
    parser.add_argument("--labels", type=int, default=60)
    parser.add_argument("--data", type=Path, help="Raw shards to read instead of synthetic ones.")
    arguments = parser.parse_args()
    results = []
    for videos in [0] if arguments.data else sorted(arguments.videos):
        with tempfile.TemporaryDirectory() as folder:
            data = arguments.data or Path(folder, "data")
            if not arguments.data:
                size = ["--videos", str(videos), "--labels", str(arguments.labels)]
                synth = [YT8M, "synth", "--level", arguments.level, *size, str(data)]
                subprocess.run(synth, check=True, stdout=subprocess.DEVNULL)
            results.append(measure(arguments.model, data, Path(folder, "answers.csv")))
    for result in results:
        print(
            f"{result['videos']:.0f} videos: {result['videos'] / result['seconds']:.0f} a second, "
            f"{result['seconds']:.1f} s and {result['peak']:.0f} MB"
        )
    first, last = results[0], results[-1]
    print(f"{last['videos'] / first['videos']:g} times the videos: {last['peak'] / first['peak']:.2f} times the memory")


if __name__ == "__main__":
    main()
