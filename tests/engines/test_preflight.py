"""Engines that cannot do the work are found out before it: one sentence for each kind of mistake."""

import shutil
import subprocess
from pathlib import Path

import pytest
from local_engines import ROOT, WORKER

from models.errors import InputError
from pipeline.beam import preflight as module
from pipeline.beam.preflight import preflight
from pipeline.beam_settings import BeamSettings

pytestmark = pytest.mark.engine


@pytest.fixture
def check(engine, tmp_path, monkeypatch):
    """`(script)` -> the error of a preflight, "" for none; the workers' command is a shell script."""

    def run(script: str, *paths: Path, limit: float = 120.0) -> str:
        worker = tmp_path / "worker"
        worker.write_text(f'#!/bin/sh\n{script} exec {WORKER} "$@"\n')
        worker.chmod(0o755)
        monkeypatch.setattr(module, "TIME_LIMIT", limit)
        settings = BeamSettings(runner="PortableRunner", options=tuple(engine.options(worker)))
        artifacts = tmp_path / "artifacts"
        try:
            preflight(settings, str(artifacts), [str(path) for path in paths])
        except InputError as error:
            assert "\n" not in str(error)
            return str(error).replace(engine.endpoint, "ENGINE").replace(str(artifacts), "ARTIFACTS")
        finally:
            assert list(artifacts.iterdir()) == []
        return ""

    return run


@pytest.fixture
def other_release(tmp_path):
    """A copy of our packages, and the beginning of a script whose workers import it."""
    copy = tmp_path / "other"
    for package in ("pipeline", "components", "models", "tuner"):
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    return copy, f"PYTHONPATH={copy}"


def test_workers_of_the_same_release_that_see_the_volume(check):
    assert check("") == ""


def test_workers_with_other_sources(check, other_release):
    copy, script = other_release
    with (copy / "models" / "features.py").open("a") as file:
        file.write("# Another release.\n")
    message = check(script)
    assert "of ENGINE runs sources of this project, with the fingerprint " in message
    assert message.endswith("start them from the image of this release")


def test_workers_of_a_release_without_engines(check, other_release):
    copy, script = other_release
    (copy / "pipeline" / "beam" / "probe.py").unlink()
    message = check(script, limit=400)  # Spark tries each task four times
    assert message.startswith("workers of ENGINE run another release of this project (ModuleNotFoundError: No module")


def test_workers_that_do_not_see_the_artifacts(check, tmp_path):
    _require_mounts()
    (tmp_path / "artifacts").mkdir()
    # The rest of the script runs in a mount namespace, in which the folder is empty.
    namespace = '[ "$HIDDEN" ] || HIDDEN=1 exec unshare --mount "$0" "$@"'
    message = check(f"{namespace}\nmount -t tmpfs none {tmp_path / 'artifacts'};")
    assert message == "workers of ENGINE do not see ARTIFACTS: mount the volume that holds it there, at the same path"


def test_workers_that_do_not_see_the_shards(check, tmp_path):
    shard = tmp_path / "train.tfrecord"
    assert f"of ENGINE does not see {shard}: mount the volume that holds it there" in check("", shard)


def test_workers_that_never_start(check):
    message = check("sleep 600;", limit=15)
    assert message.startswith("workers of ENGINE did not answer within 15 s, the job has been cancelled: look at")


def test_an_engine_that_fails_the_job(check, other_release):
    copy, script = other_release
    probe = copy / "pipeline" / "beam" / "probe.py"
    probe.write_text(probe.read_text().replace("    if ", '    raise RuntimeError("no disk")\n    if ', 1))
    assert "the engine at ENGINE fails a job without work: RuntimeError: no disk" in check(script, limit=400)


def _require_mounts() -> None:
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
        pytest.skip("mount namespaces are not allowed here")
