"""A node's cache key follows the code it runs, and no other."""

import shutil
from pathlib import Path

import pytest

from components import source_fingerprint as module
from components.source_fingerprint import source_fingerprint

INGEST, TRAINER = "components.example_gen.component", "components.trainer.trainer"


@pytest.fixture
def copy(tmp_path, monkeypatch):
    root = Path(module.__file__).parents[1]
    for package in ("components", "models"):
        shutil.copytree(root / package, tmp_path / package)
    monkeypatch.setattr(module, "_ROOT", tmp_path)
    return tmp_path


def edit(path):
    path.write_text(path.read_text() + "\n# edited\n")


def test_the_fingerprint_is_the_same_for_the_same_code(copy, monkeypatch):
    elsewhere = source_fingerprint(INGEST)
    monkeypatch.undo()
    assert source_fingerprint(INGEST) == elsewhere


@pytest.mark.parametrize(
    ("edited", "changes_ingest", "changes_trainer"),
    [
        ("models/encoders/net_vlad.py", False, True),
        ("components/example_gen/packing.py", True, False),
        ("components/evaluator/metrics.py", False, False),
        ("models/features.py", True, True),
        ("models/__init__.py", True, True),
    ],
)
def test_an_edit_runs_the_nodes_that_use_it(copy, edited, changes_ingest, changes_trainer):
    before = source_fingerprint(INGEST), source_fingerprint(TRAINER)
    edit(copy / edited)
    assert (source_fingerprint(INGEST) != before[0], source_fingerprint(TRAINER) != before[1]) == (
        changes_ingest,
        changes_trainer,
    )
