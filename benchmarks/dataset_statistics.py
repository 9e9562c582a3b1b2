"""Measures `yt8m stats`: its speed, and whether its memory grows with the number of videos.

    python benchmarks/dataset_statistics.py [--videos 500 2000] [--labels 60] [--data FOLDER]

Writes synthetic frame-level sets into a temporary folder (266 KB a video), or reads a folder of raw shards. Prints for
each set the videos that are read, checked and counted in a second of processor time; the time and peak memory of the
whole command, imports and page included (summed over its processes, shared pages counted once); and the ratio of the
largest set's memory to the smallest's.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

COUNT = """
import sys, time
from components.dataset_statistics.raw_shards import count_shard
from components.example_gen.data_files import find_data_files
from components.example_gen.ingest import plan_shards
from components.example_gen.input_files import detect_level
from components.example_gen.splits import SplitPolicy
from models.features import YT8M_CLASSES
files, policy = find_data_files(sys.argv[1]), SplitPolicy.parse("id:80/10/10")
level, videos, started = detect_level(files.data), 0, time.process_time()
for shard in plan_shards(files, policy, 0):
    videos += sum(count_shard(shard, policy, level, YT8M_CLASSES).summary.videos.values())
print(videos, videos / (time.process_time() - started))
"""


def measure(data: Path, out: Path) -> dict[str, float]:
    """Number of videos, videos a second of processor time, and seconds and peak megabytes of the command."""
    counted = subprocess.run([sys.executable, "-c", COUNT, str(data)], check=True, capture_output=True, text=True)
    videos, speed = map(float, counted.stdout.split())
    command = [str(Path(sys.executable).with_name("yt8m")), "stats", "--data", str(data), "--split", "id:80/10/10"]
    started, peak = time.monotonic(), 0
    process = subprocess.Popen([*command, "--out", str(out)], stdout=subprocess.DEVNULL)
    while process.poll() is None:
        peak = max(peak, memory(process.pid))
        time.sleep(0.05)
    assert process.returncode == 0
    return {"videos": videos, "speed": speed, "seconds": time.monotonic() - started, "peak": peak / 2**20}


def memory(pid: int) -> int:
    """Bytes of a process and its children."""
    total = 0
    try:
        process = psutil.Process(pid)
        for member in (process, *process.children(recursive=True)):
            total += member.memory_full_info().pss
    except psutil.Error:  # a process has just ended
        return 0
    return total


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description="Measure yt8m stats.")
    parser.add_argument("--videos", type=int, nargs="+", default=[500, 2000])
    parser.add_argument("--labels", type=int, default=60)
    parser.add_argument("--data", type=Path, help="Raw shards to read instead of synthetic ones.")
    arguments = parser.parse_args()
    results = []
    for videos in [0] if arguments.data else sorted(arguments.videos):
        with tempfile.TemporaryDirectory() as folder:
            data = arguments.data or Path(folder, "data")
            if not arguments.data:
                yt8m = Path(sys.executable).with_name("yt8m")
                synth = [yt8m, "synth", "--level", "frame", "--videos", videos, "--labels", arguments.labels, data]
                subprocess.run([str(part) for part in synth], check=True, stdout=subprocess.DEVNULL)
            results.append(measure(data, Path(folder, "out")))
    for result in results:
        print(
            f"{result['videos']:.0f} videos: {result['speed']:.0f} videos a second and processor; "
            f"the command takes {result['seconds']:.1f} s and {result['peak']:.0f} MB"
        )
    first, last = results[0], results[-1]
    print(f"{last['videos'] / first['videos']:g} times the videos: {last['peak'] / first['peak']:.2f} times the memory")


if __name__ == "__main__":
    main()
