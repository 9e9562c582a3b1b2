"""Nothing of TensorFlow's start is in the output of commands that a user's shell runs."""

import json
import os
import subprocess
import sys

NOISE = ("oneDNN", "cudart_stub", "absl", "cpu_feature_guard", "TensorFlow", "WARNING")

# Runs one command after another in a fresh interpreter, with a zero byte after the output and errors of each.
PROGRAM = """
import json, sys
from contextlib import suppress
from pipeline.entry import main

for words in json.load(sys.stdin):
    sys.argv = ["yt8m", *words]
    with suppress(SystemExit):  # of the report of no run
        main()
    print(end="\\0", flush=True)
"""


def test_commands_are_quiet(api_server, cluster_file, package, tmp_path, write_shard, video_record):
    write_shard(tmp_path / "span-3" / "train0000.tfrecord", [video_record()])
    cluster = cluster_file(volumes=[{"claim": "yt8m", "path": str(tmp_path)}], push_directory=f"{tmp_path}/serving")
    data = tmp_path / "span-{SPAN}" / "*.tfrecord"
    commands = [
        # First those that import no TensorFlow.
        ["schedule", "create", "weekly", "--cron", "0 3 * * 1", "--package", package],
        ["submit", "--package", package],
        ["status"],
        ["report", "--kfp-experiment", "yt8m"],
        ["submit", "--cluster", cluster, "--data", data, "--experiment", "average-2304", "--if-new-data"],
    ]
    variables = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps(commands, default=str),
        env=variables | {"KF_PIPELINES_ENDPOINT": api_server.url},
        cwd=tmp_path,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert not [line for line in ended.stdout.splitlines() if any(noise in line for noise in NOISE)]
    scheduled, submitted, status, report, new_data, rest = ended.stdout.split("\0")
    assert scheduled == "weekly: 0 0 3 * * 1\n"
    assert submitted.startswith("version: yt8m-")
    assert "PENDING" in status
    assert "no run of it has finished" in report
    assert f"new data: span 3 of {data}\n" in new_data
    assert not rest
