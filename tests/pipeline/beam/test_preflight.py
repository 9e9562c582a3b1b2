"""A preflight at Beam's own job service. tests/engines has the mistakes that only workers elsewhere can make."""

import pytest

from models.errors import InputError
from pipeline.beam import jobs
from pipeline.beam import preflight as module
from pipeline.beam.preflight import preflight
from pipeline.beam.probe import WorkerReport
from pipeline.beam_settings import BeamSettings


def test_workers_report_and_the_reports_are_removed(settings, tmp_path, caplog):
    caplog.set_level("INFO")
    preflight(settings(), str(tmp_path / "artifacts"))
    assert "run this release and see its files" in caplog.text
    assert list((tmp_path / "artifacts").iterdir()) == []


def test_runners_in_this_process_need_no_check(tmp_path):
    preflight(BeamSettings(), str(tmp_path / "artifacts"))
    assert not (tmp_path / "artifacts").exists()


def test_a_path_that_workers_do_not_see(settings, tmp_path):
    with pytest.raises(InputError, match=r"does not see .*/shards: mount the volume that holds it there, at the same"):
        preflight(settings(), str(tmp_path), [str(tmp_path / "shards")])


def test_an_endpoint_that_nobody_listens_at(tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "CONNECT_SECONDS", 0.2)
    settings = BeamSettings(runner="PortableRunner", options=("--job_endpoint=localhost:1",))
    with pytest.raises(InputError, match=r"--job_endpoint=localhost:1 cannot be reached within 0 s: start the job"):
        preflight(settings, str(tmp_path))


def test_an_option_that_neither_beam_nor_the_engine_knows(settings, tmp_path):
    with pytest.raises(InputError, match="--paralelism is not an option, allowed: those of Beam's PipelineOptions and"):
        preflight(settings("--paralelism=2"), str(tmp_path))


def test_workers_that_do_not_see_the_folder(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "read_reports", lambda folder: [])
    with pytest.raises(InputError, match=r"do not see .*: mount the volume that holds it there, at the same path"):
        preflight(settings(), str(tmp_path))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("beam", "2.1.0", "runs Beam 2.1.0, this process "),
        ("python", "3.9", "runs Python 3.9, this process 3.11: start them from the image of this release"),
        ("sources", "0123", "runs sources of this project, with the fingerprint 0123, this process "),
    ],
)
def test_workers_of_another_release(settings, tmp_path, monkeypatch, name, value, message):
    other = WorkerReport(**{**vars(WorkerReport.of_this_process()), name: value, "host": "node-7"})
    monkeypatch.setattr(module, "read_reports", lambda folder: [other])
    with pytest.raises(InputError) as error:
        preflight(settings(), str(tmp_path))
    assert "worker node-7 of localhost:" in str(error.value) and message in str(error.value)
