"""Measures `write_dataset`: its speed on one core, and whether its memory grows with the number of videos.

    python benchmarks/synthetic_data.py [--level frame] [--labels 3862]

Writes 500, then 2000 videos, each set in its own process, to a temporary folder (0.7 GB at the frame level).
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from models.features import Level

SIZES = (500, 2000)

# The demo and the tests rely on 1000 frame-level videos in half a minute.
REQUIRED_VIDEOS_A_MINUTE = 2000


def measure(level: Level, videos: int, labels: int) -> None:
    """Prints videos a minute and peak MB of this process, start and imports included."""
    started = time.perf_counter()
    from pipeline.data.synthetic_data import write_dataset

    with tempfile.TemporaryDirectory() as folder:
        write_dataset(Path(folder), level, videos, labels, seed=0)
        minutes = (time.perf_counter() - started) / 60
    print(videos / minutes, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    """Measures every size and prints the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--level", choices=("frame", "video"), default="frame")
    parser.add_argument("--labels", type=int, default=3862)
    parser.add_argument("--videos", type=int, help="measure this number in this process only")
    arguments = parser.parse_args()
    if arguments.videos:
        return measure(arguments.level, arguments.videos, arguments.labels)

    # Children inherit the affinity, and NumPy starts as many threads as there are cores.
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    peaks = []
    for videos in SIZES:
        command = [sys.executable, __file__, "--videos", str(videos)]
        command += ["--level", arguments.level, "--labels", str(arguments.labels)]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        speed, peak = (float(word) for word in output.split()[-2:])
        peaks.append(peak)
        times = speed / REQUIRED_VIDEOS_A_MINUTE
        print(f"{videos} videos: {speed:.0f} a minute ({times:.1f} times the required), peak memory {peak:.0f} MB")
    print(f"peak memory at {SIZES[-1]} videos: {peaks[-1] / peaks[0]:.2f} times that at {SIZES[0]}")


if __name__ == "__main__":
    main()
