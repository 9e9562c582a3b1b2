"""A step of `yt8m run` runs again when a file that it reads was edited, and is cached when another one was."""

import json
import shutil

import pytest

from components import source_fingerprint
from components.schema import component as schema
from pipeline.command_line import yt8m

TINY = ["training.max_epochs=1", "training.batch_size=16", "model.hidden_units=[4]"]

# The first run has pushed a model.
DEPENDS_ON_WHAT_SERVES = {"DriftDetector", "Pusher"}


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A copy of our packages, whose files the steps read instead."""
    for package in ("components", "models", "tuner"):
        shutil.copytree(source_fingerprint._ROOT / package, tmp_path / package)
    monkeypatch.setattr(source_fingerprint, "_ROOT", tmp_path)
    monkeypatch.setattr(schema, "__file__", str(tmp_path / "components" / "schema" / "component.py"))
    return tmp_path


def run(data, out):
    """Gives the steps that were not cached."""
    settings = [word for setting in TINY for word in ("--set", setting)]
    arguments = ["run", "--data", data, "--experiment", "average-2304-1152", "--out", out, *settings]
    yt8m.main([str(argument) for argument in arguments], standalone_mode=False)
    return {step["name"] for step in json.loads((out / "steps.json").read_text()) if step["state"] == "done"}


def edit(path):
    path.write_text(path.read_text() + "\n")


def test_a_step_runs_again_when_a_file_that_it_reads_was_edited(copy, means, tmp_path):
    data, out = shutil.copytree(means, tmp_path / "means"), tmp_path / "run"
    run(data, out)

    edit(copy / "components" / "evaluator" / "evaluation.html")
    edit(copy / "components" / "schema" / "frame.pbtxt")  # of the other level
    edit(copy / "tuner" / "spaces.yaml")  # of searches
    edit(copy / "models" / "cost.py")  # of `yt8m experiments`
    assert run(data, out) == {"Evaluator", *DEPENDS_ON_WHAT_SERVES}

    edit(copy / "components" / "schema" / "video.pbtxt")
    oracle = json.loads((data / "oracle.json").read_text())
    oracle["oracle"]["micro_f1"] = 0.5
    (data / "oracle.json").write_text(json.dumps(oracle))
    # Neither of the two reads what another step has written.
    assert {"ImportSchemaGen", "ExampleGen"} <= run(data, out)
