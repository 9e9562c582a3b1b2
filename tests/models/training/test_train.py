"""Training: the recipe of the thesis, and its log."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from models.settings import ModelSettings
from models.training.log import EpochLog, TrainingLog
from models.training.train import _report_waiting, train
from models.video_classifier import build_video_classifier


def test_the_best_weights_are_returned(task: Any, uninterrupted: Any) -> None:
    model, log = uninterrupted
    features, labels = task.videos(task.VALIDATION_VIDEOS, seed=2)
    probabilities = model.predict(features, verbose=0).astype("float64")
    loss = -np.mean(labels * np.log(probabilities) + (1 - labels) * np.log(1 - probabilities))
    losses = [epoch.val_loss for epoch in log.epochs]
    np.testing.assert_allclose(losses[log.best_epoch], loss, rtol=1e-5)
    assert losses[log.best_epoch] == min(losses) < losses[-1] - 1e-3

    predicted = probabilities > 0.5
    hits = np.sum(predicted * labels)
    np.testing.assert_allclose(
        log.epochs[log.best_epoch].val_f1, 2 * hits / (predicted.sum() + labels.sum()), rtol=1e-6
    )


def test_the_log_counts_parameters_and_videos(task: Any, uninterrupted: Any) -> None:
    model, log = uninterrupted
    assert log.parameters == 6 * 12 + 12 + 4 * 12 + 12 * 4 + 4 == model.count_params()
    assert [epoch.epoch for epoch in log.epochs] == [0, 1, 2, 3, 4]
    assert {epoch.videos for epoch in log.epochs} == {task.VIDEOS}
    assert log.validation_videos == task.VALIDATION_VIDEOS
    assert all(epoch.seconds > 0 for epoch in log.epochs)
    assert TrainingLog.from_json(log.to_json()) == log


def test_the_same_seed_gives_the_same_bits_and_another_does_not(task: Any, tmp_path: Path, uninterrupted: Any) -> None:
    task.assert_same(task.run(tmp_path / "again"), uninterrupted)
    other = task.run(tmp_path / "other", task.RECIPE.model_copy(update={"max_epochs": 1}), seed=8)[1]
    assert other.epochs[0].loss != uninterrupted[1].epochs[0].loss


@pytest.mark.parametrize("decay_rate", [0.5, 1.0])
def test_the_learning_rate_falls_in_steps(task: Any, tmp_path: Path, decay_rate: float) -> None:
    settings = task.RECIPE.model_copy(update={"decay_rate": decay_rate, "max_epochs": 4, "patience": 9})
    log = task.run(tmp_path, settings)[1]
    # 79 samples are 10 steps of 8, rounded up; an epoch has 6 steps.
    expected = [0.2 * decay_rate**falls for falls in (0, 1, 1, 2)]
    np.testing.assert_allclose([epoch.learning_rate for epoch in log.epochs], expected, rtol=1e-6)


def test_a_cosine_ends_with_the_last_epoch(task: Any, tmp_path: Path) -> None:
    settings = task.RECIPE.model_copy(update={"schedule": "cosine", "max_epochs": 4, "patience": 9})
    log = task.run(tmp_path, settings)[1]
    expected = [0.2 * (1 + np.cos(np.pi * epoch / 4)) / 2 for epoch in (1, 2, 3, 4)]
    np.testing.assert_allclose([epoch.learning_rate for epoch in log.epochs], expected, rtol=1e-5, atol=1e-7)


def test_f1_can_decide_which_epoch_is_the_best(task: Any, tmp_path: Path) -> None:
    recipe = task.RECIPE.model_copy(update={"learning_rate": 0.05, "max_epochs": 20})
    by_loss = task.run(tmp_path / "loss", recipe, seed=1)[1]
    model, log = task.run(tmp_path / "f1", recipe.model_copy(update={"monitor": "val_f1"}), seed=1)
    scores = [epoch.val_f1 for epoch in log.epochs]
    assert log.best_epoch == int(np.argmax(scores)) != by_loss.best_epoch
    assert len(scores) == log.best_epoch + 1 + recipe.patience
    features, labels = task.videos(task.VALIDATION_VIDEOS, seed=2)
    predicted = model.predict(features, verbose=0) > 0.5
    f1 = 2 * np.sum(predicted * labels) / (predicted.sum() + labels.sum())
    np.testing.assert_allclose(f1, max(scores), rtol=1e-6)


# In float16 a scaled gradient has 11 bits, and Adam amplifies small ones.
@pytest.mark.parametrize(
    ("case", "tolerance"),
    [
        ("plain", 1e-5),
        ("clipvalue", 1e-5),
        ("clipnorm", 1e-5),
        ("regularized", 1e-5),
        ("scaled-loss", 1e-3),
        ("cosine", 1e-5),
        ("epsilon", 1e-5),
    ],
)
def test_a_step_is_adams_on_the_clipped_gradient_of_the_regularized_loss(
    task: Any, tmp_path: Path, case: str, tolerance: float
) -> None:
    model, log = task.run_linear(tmp_path, case)
    update, l2 = task.LINEAR_CASES[case]
    data = task.videos(task.LINEAR_VIDEOS, seed=3)
    expected = task.trained_by_formula(task.LINEAR.model_copy(update=update), data, l2)
    for weight, other in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_allclose(weight, other, atol=tolerance)
    features, labels = task.videos(task.VALIDATION_VIDEOS, seed=2)
    logits = features @ expected[0] + expected[1]
    loss = np.mean(np.logaddexp(0, logits) - labels * logits) + l2 * np.sum(expected[0] ** 2)
    assert log.epochs[0].val_loss == pytest.approx(loss, abs=tolerance)


def test_a_huge_gradient_is_clipped(task: Any, tmp_path: Path) -> None:
    features, labels = task.videos(task.LINEAR_VIDEOS, seed=3)
    data = (1e4 * features, labels)
    settings = task.LINEAR.model_copy(update={"clipvalue": 5.0})
    model, _ = task.run(tmp_path, settings, build_model=task.build_linear, data=data)
    expected, unclipped = (task.trained_by_formula(which, data, 0.0) for which in (settings, task.LINEAR))
    np.testing.assert_allclose(model.get_weights()[0], expected[0], atol=1e-5)
    assert np.abs(expected[0] - unclipped[0]).max() > 1e-3


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_trains_and_resumes(task: Any, tmp_path: Path, precision: str) -> None:
    settings = task.RECIPE.model_copy(update={"precision": precision, "max_epochs": 2})
    policies: list[str] = []

    def build_noting_the_policy() -> keras.Model:
        policies.append(keras.config.dtype_policy().name)
        return task.build()

    expected = task.run(tmp_path / "uninterrupted", settings, build_model=build_noting_the_policy)
    assert policies == [precision]
    assert keras.config.dtype_policy().name == "float32"
    assert expected[0].layers[1].compute_dtype == precision.removeprefix("mixed_")
    assert {weight.dtype for weight in expected[0].trainable_weights} == {"float32"}
    assert expected[1].epochs[1].loss < expected[1].epochs[0].loss

    with pytest.raises(tf.errors.UnknownError):
        task.run(tmp_path / "broken", settings, train_acts={(1, 3): task.interrupt})
    task.assert_same(task.run(tmp_path / "broken", settings), expected)


def test_steps_are_traced_once_however_many_epochs(task: Any, tmp_path: Path) -> None:
    def traces(epochs: int) -> int:
        calls = []

        @keras.saving.register_keras_serializable("test")
        class Counting(keras.layers.Layer):
            def call(self, inputs: Any) -> Any:
                calls.append(inputs.shape)
                return inputs

        def build_counting() -> keras.Model:
            inputs = keras.Input((task.FEATURES,))
            logits = keras.layers.Dense(task.CLASSES, name="logits")(Counting()(inputs))
            return keras.Model(inputs, keras.layers.Activation("sigmoid")(logits))

        settings = task.RECIPE.model_copy(update={"max_epochs": epochs, "patience": 9})
        task.run(tmp_path / str(epochs), settings, build_model=build_counting)
        return len(calls)

    assert traces(1) == traces(3)


def test_tensorboard_gets_the_scores_of_both_splits(task: Any, tmp_path: Path) -> None:
    log = task.run(tmp_path, task.RECIPE.model_copy(update={"max_epochs": 2}))[1]

    def scalars(split: str) -> dict[tuple[int, str], float]:
        (file,) = (tmp_path / "logs" / split).iterdir()
        return {
            (event.step, value.tag): float(tf.make_ndarray(value.tensor))
            for event in tf.compat.v1.train.summary_iterator(str(file))
            for value in event.summary.value
        }

    train_scores = {
        (e.epoch, n): getattr(e, n)
        for e in log.epochs
        for n in ("loss", "f1", "learning_rate", "seconds", "input_seconds")
    }
    validation_scores = {(e.epoch, n): getattr(e, f"val_{n}") for e in log.epochs for n in ("loss", "f1")}
    assert scalars("train") == pytest.approx(train_scores)
    assert scalars("validation") == pytest.approx(validation_scores)


@pytest.mark.parametrize("gated", [False, True])
def test_a_video_classifier_is_trained_through_its_logits_or_its_gated_probabilities(
    task: Any, tmp_path: Path, gated: bool
) -> None:
    settings = ModelSettings(encoder={"name": "average"}, context_gating=gated, hidden_units=(8,), dropout=0.1)
    features, labels = task.videos(task.VIDEOS, seed=1)
    dataset = tf.data.Dataset.from_tensor_slices(({"mean": np.tile(features, 192)}, labels)).batch(task.BATCH)
    model, log = train(
        lambda: build_video_classifier(settings, task.CLASSES, seed=3),
        lambda epoch: dataset,
        dataset,
        task.RECIPE.model_copy(update={"max_epochs": 3, "learning_rate": 1e-3}),
        seed=0,
        checkpoint_dir=tmp_path / "checkpoints",
        log_dir=tmp_path / "logs",
    )
    assert log.epochs[2].val_loss < log.epochs[0].val_loss
    probabilities = model.predict(dataset, verbose=0).astype("float64")
    loss = -np.mean(labels * np.log(probabilities) + (1 - labels) * np.log(1 - probabilities))
    np.testing.assert_allclose(log.epochs[log.best_epoch].val_loss, loss, rtol=1e-5)


@pytest.mark.parametrize(
    ("waited", "message"),
    [
        (7.0, "training waited for input in 7 % of its time (7.0 of 100.0 s): use more processor cores or a faster"),
        (4.9, ""),  # at most 5 %
    ],
)
def test_a_training_that_waited_long_for_input_says_so(
    waited: float, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    epochs = [EpochLog(number, 1.0, 0.0, 1.0, 0.0, 1e-3, 4, 50.0, waited / 2) for number in range(2)]
    _report_waiting(TrainingLog(1, epochs))
    assert caplog.text.count("waited for input") == bool(message) and message in caplog.text


def test_less_than_a_second_of_waiting_is_not_worth_a_word(caplog: pytest.LogCaptureFixture) -> None:
    _report_waiting(TrainingLog(1, [EpochLog(0, 1.0, 0.0, 1.0, 0.0, 1e-3, 4, 2.0, 0.9)]))
    assert not caplog.text
