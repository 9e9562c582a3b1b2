"""What a Beam step in a container does before its work on an engine."""

import json

import pytest
from tfx.types.standard_artifacts import Examples

from models.errors import InputError
from pipeline.kubeflow.container.step import _check_engine


@pytest.fixture
def artifact(tmp_path):
    """Builds an artifact with a folder of that name."""

    def build(name):
        made = Examples()
        made.uri = str(tmp_path / name)
        return {name: [made]}

    return build


def test_a_step_cancels_the_job_of_a_killed_attempt_and_checks_its_folders(settings, artifact, tmp_path, job_service):
    outputs, inputs = artifact("transformed"), artifact("examples")
    with pytest.raises(InputError, match=r"does not see .*/examples: mount the volume"):
        _check_engine(settings(), inputs, outputs, str(tmp_path / "work"))
    (tmp_path / "examples").mkdir()
    record = _check_engine(settings(), inputs, outputs, str(tmp_path / "work"))
    assert record and record.parent == tmp_path / "work" / "jobs"
    record.write_text(json.dumps({"endpoint": job_service, "name": "yt8m-0"}))
    assert _check_engine(settings(), inputs, outputs, str(tmp_path / "work")) == record and not record.exists()


def test_without_a_work_directory_no_job_is_recorded(settings, artifact):
    assert _check_engine(settings(), {}, artifact("examples"), "") is None
