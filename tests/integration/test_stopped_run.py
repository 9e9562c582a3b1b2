"""A run in another process that is stopped, and a second run in the same folder meanwhile."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from pipeline.cli import main


@pytest.fixture
def command(means, tmp_path):
    """A run that takes some seconds."""
    data = ["--data", str(means), "--split", "id:80/10/10", "--experiment", "average-2304-1152"]
    return ["run", *data, "--out", str(tmp_path / "out"), "--set", "training.max_epochs=1"]


def test_a_stopped_run_reports_what_is_kept_and_a_second_one_is_refused(command, tmp_path, monkeypatch, capfd):
    yt8m = Path(sys.executable).with_name("yt8m")
    with subprocess.Popen([yt8m, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as first:
        assert first.stdout and first.stderr
        while not (line := first.stdout.readline()).startswith("DatasetStatistics ..."):
            assert line, first.stderr.read()

        monkeypatch.setattr(sys, "argv", ["yt8m", *command])
        with pytest.raises(SystemExit) as refused:
            main()
        assert refused.value.code == 2
        in_use = f"error: {tmp_path / 'out'} is in use by process {first.pid} on "
        assert capfd.readouterr().err.splitlines()[-1].startswith(in_use)

        children = psutil.Process(first.pid).children(recursive=True)
        first.send_signal(signal.SIGTERM)
        _, words = first.communicate(timeout=300)
    assert first.returncode == 143
    assert words.splitlines() == [
        "SIGTERM: stopping",
        "stopped by SIGTERM; finished steps and checkpoints are kept: the same command resumes from them",
    ]
    steps = {row["name"]: row["state"] for row in json.loads((tmp_path / "out" / "steps.json").read_text())}
    assert steps["ExampleGen"] == "done" and "running" not in steps.values()
    assert not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children)
