"""Nothing of TensorFlow's start is in the output of commands, run as processes."""

import os
import subprocess
import sys

import pytest

NOISE = ("oneDNN", "cudart_stub", "absl", "cpu_feature_guard", "TensorFlow", "WARNING")


@pytest.fixture
def run(api_server):
    """Runs a command as a user's shell does; returns its output and errors together."""

    def run(*arguments):
        variables = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
        variables["KF_PIPELINES_ENDPOINT"] = api_server.url
        command = [sys.executable, "-c", "from pipeline.entry import main; main()", *map(str, arguments)]
        ended = subprocess.run(command, env=variables, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert not [line for line in ended.stdout.splitlines() if any(noise in line for noise in NOISE)]
        return ended.stdout

    return run


def test_submit_compiles_and_looks_at_data_quietly(run, cluster_file, tmp_path, write_shard, video_record):
    write_shard(tmp_path / "span-3" / "train0000.tfrecord", [video_record()])
    cluster = cluster_file(volumes=[{"claim": "yt8m", "path": str(tmp_path)}], push_directory=f"{tmp_path}/serving")
    data = tmp_path / "span-{SPAN}" / "*.tfrecord"
    options = ["--cluster", cluster, "--data", data, "--experiment", "average-2304", "--if-new-data"]
    assert f"new data: span 3 of {data}\n" in run("submit", *options)


def test_commands_that_read_runs_and_packages_are_quiet(run, package):
    assert run("schedule", "create", "weekly", "--cron", "0 3 * * 1", "--package", package) == "weekly: 0 0 3 * * 1\n"
    assert run("submit", "--package", package).startswith("version: yt8m-")
    assert "PENDING" in run("status")
    assert "no run of it has finished" in run("report", "--kfp-experiment", "yt8m")
