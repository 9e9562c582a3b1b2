"""What a Beam step in a container does before its work on an engine."""

import json

import pytest
from tfx.types.standard_artifacts import Examples

from models.errors import InputError
from pipeline.kubeflow.container.step import _check_engine


@pytest.fixture
def check(settings, tmp_path):
    """Checks the engine for a step with an input, as `attempt`s of the same step do."""
    examples = Examples()
    examples.uri = str(tmp_path / "examples")

    def build(attempt, work=str(tmp_path / "work")):
        scratch = tmp_path / attempt
        scratch.mkdir()
        return _check_engine(settings(), {"examples": [examples]}, scratch, work, tmp_path / "step")

    return build


def test_a_step_cancels_the_job_of_a_killed_attempt_and_checks_its_folders(check, tmp_path, job_service):
    with pytest.raises(InputError, match=r"does not see .*/examples: mount the volume"):
        check("first")
    (tmp_path / "examples").mkdir()
    record = check("second")
    assert record and record.parent == tmp_path / "work" / "jobs"
    record.write_text(json.dumps({"endpoint": job_service, "name": "yt8m-0"}))
    assert check("third") == record and not record.exists()


def test_without_a_work_directory_no_job_is_recorded(check, tmp_path):
    (tmp_path / "examples").mkdir()
    assert check("first", work="") is None
