"""Training: how it ends."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputError
from models.training.checkpoint import Checkpoint
from models.training.loop import best_epoch

STEPS = 6  # of an epoch of the task


def test_a_loss_that_is_not_finite_ends_the_training_and_is_never_saved(task: Any, tmp_path: Path) -> None:
    data = task.videos(task.VIDEOS, seed=1)
    with pytest.raises(
        InputError, match=r"loss is nan in epoch 1 at step 3, learning rate 0\.2: lower training"
    ) as error:
        task.run(tmp_path, data=data, train_acts={(1, 2): lambda: data[1].fill(np.nan)})
    assert f"last good checkpoint in {tmp_path / 'checkpoints'}: epoch 1, step 2" in str(error.value)
    assert "\n" not in str(error.value)
    checkpoint = Checkpoint(tmp_path / "checkpoints")
    progress = checkpoint.load()
    assert progress and progress.step == 2
    assert all(np.isfinite(array).all() for array in checkpoint.load_state().values())


def test_a_validation_loss_that_is_not_finite_ends_the_training(task: Any, tmp_path: Path) -> None:
    data = task.videos(task.VALIDATION_VIDEOS, seed=2)
    with pytest.raises(InputError, match=f"validation loss is nan in epoch 1 at step {STEPS}"):
        task.run(tmp_path, validation_data=data, validation_acts={(1, 0): lambda: data[1].fill(np.nan)})


def test_weights_that_are_not_finite_are_never_saved(task: Any, tmp_path: Path) -> None:
    class Overflowing(keras.layers.Layer):
        """Has a weight that does not affect the loss: 1, 1e30, infinity."""

        def build(self, shape: Any) -> None:
            self.moment = self.add_weight(shape=(), initializer="ones", trainable=False)

        def call(self, inputs: Any, training: bool = False) -> Any:
            if training:
                self.moment.assign(self.moment * 1e30)
            return inputs

    def build_overflowing() -> keras.Model:
        inputs = keras.Input((task.FEATURES,))
        logits = keras.layers.Dense(task.CLASSES, name="logits")(Overflowing()(inputs))
        return keras.Model(inputs, keras.layers.Activation("sigmoid")(logits))

    with pytest.raises(InputError, match=r"weight is not finite in epoch 0 at step 2, .*: epoch 0, step 1"):
        task.run(tmp_path, build_model=build_overflowing)
    progress = Checkpoint(tmp_path / "checkpoints").load()
    assert progress and progress.step == 1


def test_max_hours_ends_the_epoch_early_and_the_trained_part_counts(task: Any, tmp_path: Path) -> None:
    settings = task.RECIPE.model_copy(update={"max_hours": 1e-9})
    model, log = task.run(tmp_path, settings)
    assert [epoch.videos for epoch in log.epochs] == [task.BATCH]
    assert (log.stopped_by, log.best_epoch, log.validation_videos) == ("max_hours", 0, task.VALIDATION_VIDEOS)
    read = {(epoch, 0): task.interrupt for epoch in range(-1, 2)}
    task.assert_same(task.run(tmp_path, settings, train_acts=dict(read), validation_acts=dict(read)), (model, log))


def older_epoch(progress: dict[str, Any]) -> None:
    progress["seconds"] += 3600


def older_log(progress: dict[str, Any]) -> None:
    progress["log"]["epochs"][0]["seconds"] += 3600


@pytest.mark.parametrize(
    ("interruption", "grow_older", "videos"),
    [
        pytest.param({"train_acts": (3, 2)}, older_epoch, [44, 44, 44, 16], id="the-epoch's"),
        pytest.param({"train_acts": (3, 2)}, older_log, [44, 44, 44, 16], id="the-epochs'-before"),
        pytest.param({"validation_acts": (1, 2)}, older_epoch, [44, 44], id="in-the-validation"),
    ],
)
def test_a_resumed_training_counts_the_hours_before_the_interruption(
    task: Any,
    tmp_path: Path,
    uninterrupted: Any,
    interruption: dict[str, tuple[int, int]],
    grow_older: Callable[[dict[str, Any]], None],
    videos: list[int],
) -> None:
    settings = task.RECIPE.model_copy(update={"max_hours": 1.0})
    with pytest.raises(tf.errors.UnknownError, match="Interruption"):
        task.run(tmp_path, settings, **{acts: {place: task.interrupt} for acts, place in interruption.items()})
    file = tmp_path / "checkpoints" / "checkpoint.json"
    manifest = json.loads(file.read_text())
    grow_older(manifest["progress"])
    file.write_text(json.dumps(manifest))

    model, log = task.run(tmp_path, settings)
    assert log.stopped_by == "max_hours"
    assert [epoch.videos for epoch in log.epochs] == videos
    full = videos.count(task.VIDEOS)
    assert log.epochs[:full] == uninterrupted[1].epochs[:full]
    losses = [epoch.val_loss for epoch in log.epochs]
    assert losses[log.best_epoch] == min(losses)
    features, labels = task.videos(task.VALIDATION_VIDEOS, seed=2)
    probabilities = model.predict(features, verbose=0).astype("float64")
    loss = -np.mean(labels * np.log(probabilities) + (1 - labels) * np.log(1 - probabilities))
    assert min(losses) == pytest.approx(loss, rel=1e-5)


@pytest.mark.parametrize(
    ("empty", "message"),
    [("data", "training data: no video in epoch 0"), ("validation_data", "validation data: no videos")],
)
def test_an_empty_split_is_refused(task: Any, tmp_path: Path, empty: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        task.run(tmp_path, **{empty: task.videos(0, seed=1)})  # type: ignore[arg-type]


@given(
    eighths=st.lists(st.integers(0, 12), min_size=1, max_size=12),
    min_delta=st.sampled_from([0.0, 0.125, 0.25]),
    patience=st.integers(1, 4),
)
def test_early_stopping_is_keras_early_stopping(eighths: list[int], min_delta: float, patience: int) -> None:
    losses = [eighth / 8 for eighth in eighths]
    keras_stopping = keras.callbacks.EarlyStopping("val_loss", min_delta, patience, mode="min")
    keras_stopping.set_model(SimpleNamespace(stop_training=False))
    keras_stopping.on_train_begin()
    for epoch, loss in enumerate(losses):
        keras_stopping.on_epoch_end(epoch, {"val_loss": loss})
        best = best_epoch(losses[: epoch + 1], min_delta)
        assert best == keras_stopping.best_epoch
        assert (epoch - best >= patience) == keras_stopping.model.stop_training
        if keras_stopping.model.stop_training:
            break
