"""A step runs again after an edit of a file that it reads, and is cached after other edits."""

import shutil

import pytest
from tfx import v1 as tfx

from components import source_fingerprint
from components.schema import component as schema
from models.vocabulary import Vocabulary
from pipeline.beam.options import beam_args
from pipeline.create_pipeline import create_pipeline
from pipeline.experiments import find_experiment
from pipeline.local.runner import LocalRunner
from pipeline.settings import resolve_settings


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A copy of our packages that the steps read in their place."""
    for package in ("components", "models", "tuner"):
        shutil.copytree(source_fingerprint._ROOT / package, tmp_path / package)
    monkeypatch.setattr(source_fingerprint, "_ROOT", tmp_path)
    monkeypatch.setattr(schema, "__file__", str(tmp_path / "components" / "schema" / "component.py"))
    return tmp_path


def edit(path):
    path.write_text(path.read_text() + "\n")


class Stopped(Exception):
    pass


def stop_at_the_third(step):
    if step.name == "DatasetStatistics":
        raise Stopped


@pytest.fixture
def first_steps(means, tmp_path):
    """Runs the first steps of the pipeline as `yt8m run` does; returns those that were not cached, by name."""
    settings = resolve_settings(find_experiment("average-2304-1152"), {"data.pattern": str(means)})
    names = [f"label {index}" for index in range(7)]
    metadata = tfx.orchestration.metadata.sqlite_metadata_connection_config(str(tmp_path / "metadata.sqlite"))

    def run():
        pipeline = create_pipeline(
            settings,
            Vocabulary(tuple(names), ("",) * 7),
            None,
            pipeline_root=str(tmp_path / "out"),
            push_directory="",
            checkpoint_dir="",
            tune_dir="",
            log_dir="",
            metadata=metadata,
            beam_args=beam_args(settings.beam),
        )
        runner = LocalRunner(tmp_path / "steps.json", stop_at_the_third)
        with pytest.raises(Stopped):
            runner.run(pipeline)
        return {step.name for step in runner.steps if step.state == "done"}

    assert run() == {"ExampleGen", "ImportSchemaGen"} and run() == set()
    return run


def test_the_schema_is_imported_again_when_it_changes(copy, first_steps):
    edit(copy / "components" / "schema" / "frame.pbtxt")  # of the other level
    assert first_steps() == set()
    edit(copy / "components" / "schema" / "video.pbtxt")
    assert first_steps() == {"ImportSchemaGen"}
