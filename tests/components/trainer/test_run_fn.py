"""run_fn on real artifacts, as TFX's Trainer calls it."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tfx import v1 as tfx

from components.served_models import ModelCard
from components.trainer.task import TrainingTask
from components.trainer.trainer import read_training_log, run_fn
from models.errors import InputError
from models.input.soft_targets import SoftTargetsWriter, soft_targets_path
from models.settings import ModelSettings
from models.training.log import EpochLog
from models.training_settings import TrainingSettings

Trained = Callable[..., tuple[str, EpochLog]]


@pytest.fixture(scope="module")
def trained(transformed_frames: Any, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Trains for an epoch, at a learning rate that leaves the weights unchanged; returns the SavedModel and the epoch.

    The same arguments train once.
    """

    @cache
    def run(seed: int = 0, clusters: int = 4, soft_targets: str = "", **training: Any) -> tuple[str, EpochLog]:
        folder = tmp_path_factory.mktemp("trained")
        serving = str(folder / "Format-Serving")
        settings = TrainingSettings(learning_rate=1e-12, batch_size=8, max_epochs=1, **training)
        model = ModelSettings(encoder={"name": "netvlad", "clusters": clusters})
        task = TrainingTask(
            experiment="netvlad",
            data="",
            level="frame",
            model=model,
            training=settings,
            names=tuple(str(label) for label in range(transformed_frames.classes)),
            seed=seed,
            state_dir=str(folder / "checkpoints"),
            log_dir=str(folder / "logs"),
            sources="",
            soft_targets=soft_targets,
        )
        fn_args = tfx.components.FnArgs(
            train_files=[f"{transformed_frames.examples.uri}/Split-train/*"],
            eval_files=[f"{transformed_frames.examples.uri}/Split-validation/*"],
            transform_graph_path=transformed_frames.graph.uri,
            serving_model_dir=serving,
            custom_config=task.custom_config(),
        )
        run_fn(fn_args)
        [epoch] = read_training_log(str(folder)).epochs
        return serving, epoch

    return run


def test_training_samples_frames_and_validation_reads_all_of_them(trained: Trained) -> None:
    _, everything = trained()
    _, sampled = trained(frame_sampling="random", sampled_frames=2)
    assert sampled.videos == everything.videos
    assert sampled.val_loss == pytest.approx(everything.val_loss, abs=1e-6)
    assert abs(sampled.loss - everything.loss) > 1e-4


def test_a_warm_start_begins_with_a_models_weights_and_the_card_names_it(trained: Trained) -> None:
    (_, cold), (start, other) = trained(), trained(seed=1)
    serving, warm = trained(warm_start=start)
    assert warm.val_loss == pytest.approx(other.val_loss, abs=1e-6)
    assert abs(warm.val_loss - cold.val_loss) > 1e-4
    assert ModelCard.read(serving).training["warm_start"] == start


def test_the_loss_is_that_of_soft_targets_and_all_else_that_of_labels(
    trained: Trained, transformed_frames: Any, tmp_path: Path
) -> None:
    for records in Path(transformed_frames.examples.uri, "Split-train").iterdir():
        path = Path(soft_targets_path(str(tmp_path), str(records)))
        path.parent.mkdir(exist_ok=True)
        with open(path, "wb") as file:
            writer = SoftTargetsWriter(file, transformed_frames.classes)
            videos = sum(1 for _ in tf.data.TFRecordDataset(str(records)))
            writer.write(np.ones((videos, transformed_frames.classes), np.float32))
            writer.finish()
    start, _ = trained(seed=1)
    _, of_labels = trained(warm_start=start)
    taught = {"soft_targets": str(tmp_path), "teachers": ("teacher",)}
    serving, epoch = trained(warm_start=start, **taught, teacher_weight=0.25)
    _, other = trained(warm_start=start, **taught, teacher_weight=0.5)
    # The cross-entropy is linear in the target.
    assert other.loss - of_labels.loss == pytest.approx(2 * (epoch.loss - of_labels.loss), rel=1e-3)
    assert abs(epoch.loss - of_labels.loss) > 0.01
    for name in ("f1", "val_loss", "val_f1"):
        assert getattr(epoch, name) == pytest.approx(getattr(of_labels, name), abs=1e-6)
    assert ModelCard.read(serving).training["teachers"] == ["teacher"]


def test_teachers_without_their_predictions_are_a_mistake_of_the_pipeline(trained: Trained) -> None:
    with pytest.raises(AssertionError, match="teachers need the step that predicts with them"):
        trained(teachers=("teacher",))


def test_weights_of_another_architecture_are_refused(trained: Trained) -> None:
    start, _ = trained(seed=1)
    with pytest.raises(InputError, match=r"clusters is 8, allowed with the weights of .*: 4"):
        trained(clusters=8, warm_start=start)
