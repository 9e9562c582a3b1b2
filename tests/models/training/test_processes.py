"""Training in its own process: on two virtual devices, and until it is killed."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.training.log import TrainingLog


@pytest.fixture(scope="module")
def folder(task: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which training_task.py ran as a script."""
    path = tmp_path_factory.mktemp("process")
    done = subprocess.run([sys.executable, task.__file__, path], check=False, stdout=subprocess.DEVNULL)
    assert done.returncode == -signal.SIGKILL
    return path


@pytest.fixture(scope="module")
def report(folder: Path) -> dict[str, Any]:
    """The report of `mirrored` in training_task.py."""
    return json.loads((folder / "report.json").read_text())


def test_a_killed_training_resumes(task: Any, folder: Path, uninterrupted: Any) -> None:
    result = task.run(folder / "killed")
    task.assert_same(result, uninterrupted)
    assert result[1].resumed_from == (1, 4)


def test_two_replicas_train_one_model_and_resume(task: Any, report: dict[str, Any]) -> None:
    uninterrupted, resumed = (TrainingLog.from_json(report[name]) for name in ("uninterrupted", "resumed"))
    assert report["replicas"] == 2
    assert "validation data: 1 video for 2 devices" in report["refusal"]
    assert {epoch.videos for epoch in uninterrupted.epochs} == {task.VIDEOS - task.VIDEOS % task.BATCH}
    assert uninterrupted.validation_videos == task.REPLICATED_VALIDATION_VIDEOS
    # The validated model is the returned one: the replicas' moving moments were averaged before.
    assert uninterrupted.epochs[uninterrupted.best_epoch].val_loss == pytest.approx(report["loss"], rel=1e-5)
    assert uninterrupted.epochs[uninterrupted.best_epoch].val_f1 == pytest.approx(report["f1"], rel=1e-6)

    assert resumed.resumed_from == (1, 3)
    assert len(resumed.epochs) == len(uninterrupted.epochs) == 2
    for epoch, other in zip(resumed.epochs, uninterrupted.epochs, strict=True):
        for name in ("loss", "f1", "val_loss", "val_f1", "learning_rate", "videos"):
            assert getattr(epoch, name) == pytest.approx(getattr(other, name), rel=1e-5), name


@pytest.mark.parametrize("case", ["clipvalue", "clipnorm", "regularized", "scaled-loss"])
def test_two_replicas_take_the_same_steps_as_one(task: Any, report: dict[str, Any], case: str) -> None:
    update, l2 = task.LINEAR_CASES[case]
    settings = task.LINEAR.model_copy(update=update)
    expected = task.trained_by_formula(settings, task.videos(task.LINEAR_VIDEOS, seed=3), l2)
    loss, *weights = report["linear"][case]
    tolerance = 1e-3 if settings.precision == "mixed_float16" else 1e-5
    for weight, other in zip(weights, expected, strict=True):
        np.testing.assert_allclose(weight, other, atol=tolerance)
    features, labels = task.videos(task.VALIDATION_VIDEOS, seed=2)
    logits = features @ expected[0] + expected[1]
    penalty = l2 * np.sum(expected[0] ** 2)
    assert loss == pytest.approx(np.mean(np.logaddexp(0, logits) - labels * logits) + penalty, abs=tolerance)


def test_a_step_that_overflows_on_one_replica_is_skipped_on_all(task: Any, report: dict[str, Any]) -> None:
    np.testing.assert_array_equal(np.float32(report["overflow"]), task.build_linear().get_weights()[0])
