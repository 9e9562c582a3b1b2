"""A step's cache key changes only with the files that the step reads."""

import shutil
import subprocess
from pathlib import Path

import pytest

from components import source_fingerprint as module
from components.source_fingerprint import source_fingerprint
from components.tuner.component import TUNER_FN
from pipeline.create_pipeline import MODULES

TUNER_FN_MODULE = TUNER_FN.rpartition(".")[0]

# Data file -> the steps that read it.
DATA_FILES = {
    "components/dataset_statistics/statistics.html": {"DatasetStatistics"},
    "components/evaluator/evaluation.html": {"Evaluator"},
    "components/pages/macros.html": {"DatasetStatistics", "Evaluator"},
    "components/pages/page.html": {"DatasetStatistics", "Evaluator", "Tuner"},
    "components/pages/run.html": {"DatasetStatistics", "Evaluator", "Tuner"},
    "components/schema/frame.pbtxt": {"ImportSchemaGen"},
    "components/schema/video.pbtxt": {"ImportSchemaGen"},
    "components/tuner/trials.html": {"Tuner"},
    "tuner/spaces.yaml": set(),  # read with the settings, which hold all that the Tuner uses of it
}

# Some modules -> the steps that import them.
MODULE_FILES = {
    "components/evaluator/metrics.py": {"Evaluator"},
    "components/teacher_predictions/component.py": {"TeacherPredictions"},
    "components/example_gen/packing.py": {"ExampleGen", "DatasetStatistics", "DriftDetector", "Evaluator"},
    "components/dataset_statistics/page.py": {"DatasetStatistics"},
    "components/transform/preprocessing.py": {"Transform"},
    "components/tuner/worker.py": {"Tuner"},
    "models/input/soft_targets.py": {"TeacherPredictions", "Trainer", "Tuner"},
    "models/encoders/net_vlad.py": {"Trainer", "Tuner"},
    "tuner/search.py": {"Tuner"},
    "components/pusher.py": set(),  # the Pusher is never cached
    "models/features.py": set(MODULES),
    "models/__init__.py": set(MODULES),
}


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """Copies the packages and fingerprints the copy, so that tests can edit files."""
    for package in ("components", "models", "tuner"):
        shutil.copytree(module._ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(module, "_ROOT", tmp_path)
    return tmp_path


def fingerprints():
    return {step: source_fingerprint(*modules) for step, modules in MODULES.items()}


def append_empty_line(path):
    path.write_text(path.read_text() + "\n")


def test_the_fingerprint_does_not_depend_on_the_folder(copy, monkeypatch):
    of_copy = fingerprints()
    monkeypatch.undo()
    assert fingerprints() == of_copy


def test_an_edit_changes_the_fingerprints_of_the_steps_that_read_the_file(copy):
    for name, steps in (DATA_FILES | MODULE_FILES).items():
        before = fingerprints()
        append_empty_line(copy / name)
        after = fingerprints()
        assert {step for step in MODULES if after[step] != before[step]} == steps, name


def test_the_table_lists_every_data_file():
    command = ["git", "ls-files", "components", "models", "tuner"]
    listed = subprocess.run(command, cwd=module._ROOT, capture_output=True, text=True, check=True)
    assert {name for name in listed.stdout.splitlines() if Path(name).suffix != ".py"} == set(DATA_FILES)


def test_an_edit_of_the_trials_page_does_not_restart_a_search(copy):
    before = source_fingerprint(TUNER_FN_MODULE)
    append_empty_line(copy / "components" / "tuner" / "trials.html")
    assert source_fingerprint(TUNER_FN_MODULE) == before
    append_empty_line(copy / "tuner" / "oracles.py")
    assert source_fingerprint(TUNER_FN_MODULE) != before
