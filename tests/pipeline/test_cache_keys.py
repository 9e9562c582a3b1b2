"""A node's cache key depends on exactly the files that the node reads."""

import shutil
import subprocess
from pathlib import Path

import pytest

from components import source_fingerprint as module
from components.source_fingerprint import source_fingerprint
from pipeline.create_pipeline import MODULES, TUNER_FN

TUNER_FN_MODULE = TUNER_FN.rpartition(".")[0]

# Data file -> the nodes that read it.
READ_BY = {
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
CODE = {
    "components/evaluator/metrics.py": {"Evaluator"},
    "components/example_gen/packing.py": {"ExampleGen", "DatasetStatistics", "DriftDetector", "Evaluator"},
    "components/dataset_statistics/page.py": {"DatasetStatistics"},
    "components/transform/preprocessing.py": {"Transform"},
    "components/tuner/worker.py": {"Tuner"},
    "models/encoders/net_vlad.py": {"Trainer", "Tuner"},
    "tuner/search.py": {"Tuner"},
    "components/pusher.py": set(),  # never cached
    "models/features.py": set(MODULES),
    "models/__init__.py": set(MODULES),
}


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A copy of the packages that is fingerprinted in their place."""
    for package in ("components", "models", "tuner"):
        shutil.copytree(module._ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(module, "_ROOT", tmp_path)
    return tmp_path


def fingerprints():
    return {node: source_fingerprint(*modules) for node, modules in MODULES.items()}


def changed(before):
    return {node for node, fingerprint in fingerprints().items() if fingerprint != before[node]}


def edit(path):
    path.write_text(path.read_text() + "\n")


def test_the_fingerprint_is_the_same_for_the_same_files_elsewhere(copy, monkeypatch):
    elsewhere = fingerprints()
    monkeypatch.undo()
    assert fingerprints() == elsewhere


def test_an_edit_runs_the_nodes_again_that_read_the_file(copy):
    for name, nodes in (READ_BY | CODE).items():
        before = fingerprints()
        edit(copy / name)
        assert changed(before) == nodes, name


def test_every_data_file_is_known_here():
    listed = subprocess.run(["git", "ls-files", "components", "models", "tuner"], cwd=module._ROOT, **_TEXT)
    assert {name for name in listed.stdout.splitlines() if Path(name).suffix != ".py"} == set(READ_BY)


_TEXT = {"capture_output": True, "text": True, "check": True}


def test_an_edit_of_the_trials_page_does_not_restart_a_search(copy):
    before = source_fingerprint(TUNER_FN_MODULE)
    edit(copy / "components" / "tuner" / "trials.html")
    assert source_fingerprint(TUNER_FN_MODULE) == before
    edit(copy / "tuner" / "oracles.py")
    assert source_fingerprint(TUNER_FN_MODULE) != before
