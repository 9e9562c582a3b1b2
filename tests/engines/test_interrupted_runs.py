"""Workers that are killed while their files are open, and runs that are stopped or killed while an engine works."""

import contextlib
import hashlib
import json
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from local_engines import YT8M

pytestmark = pytest.mark.engine

VIDEOS = 2000  # an ingest of some seconds


@pytest.fixture(scope="module")
def data(tmp_path_factory, yt8m):
    folder = tmp_path_factory.mktemp("data")
    done = yt8m("synth", "--level", "frame", "--videos", VIDEOS, "--labels", 7, folder / "frames")
    assert done.returncode == 0, done.stderr
    return folder / "frames"


@pytest.fixture
def start(engine, data, tmp_path):
    """Starts a run on the engine, or in its own process; the process."""

    def run(name: str = "out", on_engine: bool = True) -> subprocess.Popen[str]:
        runner = engine.settings() if on_engine else []
        command = [YT8M, "run", "--data", data, "--experiment", "netvlad-8", "--out", tmp_path / name, *runner]
        small = ["--set", "training.max_epochs=1", "--set", "training.batch_size=64", "--set", "model.hidden_units=[8]"]
        words = [str(word) for word in (*command, *small)]
        return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    return run


def records(run: Path) -> dict[str, str]:
    """Hashes of the packed records and their index by name, of the last ingest; unfinished files too."""
    examples = run / "pipeline_root" / "ExampleGen" / "examples"
    last = max(examples.iterdir(), key=lambda path: int(path.name), default=None) if examples.exists() else None
    found = {}
    for path in last.rglob("*") if last else ():
        with contextlib.suppress(FileNotFoundError, IsADirectoryError):
            found[str(path.relative_to(last))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def unfinished(run: Path) -> list[Path]:
    return list(run.glob("pipeline_root/ExampleGen/examples/*/writing/.writing-*"))


def wait_for_open_files(run: Path, process: subprocess.Popen[str]) -> None:
    while not unfinished(run):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.002)


def holders(engine, run: Path) -> list[psutil.Process]:
    """The workers that have unfinished files open."""
    found = []
    for process in engine.workers():
        with contextlib.suppress(psutil.Error):
            if any(file.path.startswith(str(run)) for file in process.open_files()):
                found.append(process)
    return found


def writing_workers(engine, run: Path, process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Waits for workers with unfinished files, at least one."""
    while True:
        wait_for_open_files(run, process)
        if found := holders(engine, run):
            return found


def ingested(process: subprocess.Popen[str]) -> bool:
    """Reads the output of a run up to the end of its ingest, then ends it; whether the ingest succeeded."""
    assert process.stdout
    for line in process.stdout:
        if line.startswith("ExampleGen done"):
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=120)
            return True
    process.wait()
    return False


def test_a_worker_killed_with_open_files_changes_no_byte(engine, start, tmp_path):
    assert ingested(start("here", on_engine=False))
    process = start()
    for worker in writing_workers(engine, tmp_path / "out", process):
        worker.kill()
    if engine.retries:
        assert ingested(process)
    else:  # the job fails with a reason, and the same command starts it again
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 1 and "error: EngineError: " in output, output
        assert ingested(start())
    assert records(tmp_path / "out") == records(tmp_path / "here") != {}


def test_a_stopped_run_cancels_its_job(engine, start, tmp_path):
    process = start()
    wait_for_open_files(tmp_path / "out", process)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 143
    assert "SIGTERM: stopping: the job on the engine is cancelled; once more stops at once" in output
    assert not (tmp_path / "out" / "beam_job.json").exists()
    assert_nobody_writes(engine, tmp_path / "out")


def test_the_run_after_a_killed_one_cancels_its_job(engine, start, tmp_path):
    process = start()
    for worker in writing_workers(engine, tmp_path / "out", process):
        worker.suspend()  # else the job could end before the next run
    process.kill()
    process.communicate()
    assert json.loads((tmp_path / "out" / "beam_job.json").read_text())["endpoint"] == engine.endpoint
    second = start()
    assert ingested(second)
    assert not (tmp_path / "out" / "beam_job.json").exists()
    assert "cancels job " in (tmp_path / "out" / "run.log").read_text()
    assert_nobody_writes(engine, tmp_path / "out")


def assert_nobody_writes(engine, run: Path) -> None:
    before = records(run)
    time.sleep(3)
    assert records(run) == before and holders(engine, run) == []
