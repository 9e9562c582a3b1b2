"""A killed count leaves no processes."""

import signal
import subprocess
import sys

import psutil

PROGRAM = """
import io, os, time
from components.dataset_statistics import raw_shards

parent = os.getpid()
raw_shards.os.sched_getaffinity = lambda _: {0, 1, 2}

def count_shard(shard, **_):
    if os.getpid() == parent:
        time.sleep(600)
    print("begun", flush=True)

raw_shards.count_shard = count_shard
raw_shards.count_shards([0] * 6, None, "video", 7, io.BytesIO(), io.BytesIO(), print)
"""


def test_idle_processes_end_when_their_parent_is_killed() -> None:
    with subprocess.Popen((sys.executable, "-c", PROGRAM), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        for _ in range(4):
            process.stdout.readline()
        children = psutil.Process(process.pid).children()
        assert len(children) == 2
        process.send_signal(signal.SIGKILL)
        process.wait()
        _, left = psutil.wait_procs(children, timeout=60)
        for child in left:
            child.kill()
    assert not left
