"""Training: the recipe, and that an interrupted training ends with the same bits as an unbroken one."""

import functools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from models.checkpoint import Checkpoint
from models.errors import InputError
from models.settings import ModelSettings, TrainingSettings
from models.training import train
from models.training_log import TrainingLog
from models.training_loop import EXIT_PREEMPTED, best_epoch
from models.video_classifier import build_video_classifier

VIDEOS, VALIDATION_VIDEOS, FEATURES, CLASSES, BATCH = 44, 19, 6, 4, 8
STEPS = 6  # of an epoch; the last batch has 4 videos

# Overfits at once, so that early stopping has something to do; a checkpoint after every step.
RECIPE = TrainingSettings(
    learning_rate=0.2,
    decay_samples=10 * BATCH - 1,
    batch_size=BATCH,
    max_epochs=12,
    patience=2,
    checkpoint_minutes=1e-9,
)

Data = tuple[np.ndarray, np.ndarray]
Result = tuple[keras.Model, TrainingLog]
Acts = dict[tuple[int, int], Callable[[], object]]


class Interruption(Exception):
    """Stands for whatever may end a process."""


def interrupt() -> NoReturn:
    raise Interruption


def build() -> keras.Model:
    """Everything a checkpoint must restore: moments, and dropout without a seed of its own."""
    inputs = keras.Input((FEATURES,))
    hidden = keras.layers.BatchNormalization(momentum=0.9)(keras.layers.Dense(12, "relu")(inputs))
    logits = keras.layers.Dense(CLASSES, name="logits", dtype="float32")(keras.layers.Dropout(0.5)(hidden))
    return keras.Model(inputs, keras.layers.Activation("sigmoid", dtype="float32")(logits))


def videos(count: int, seed: int) -> Data:
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(count, FEATURES)).astype("float32")
    noise = generator.normal(size=(count, CLASSES))
    return features, (features[:, :CLASSES] + 1.5 * noise > 0.5).astype("float32")


def batches(data: Data, before: Callable[[int], None], order: np.ndarray) -> tf.data.Dataset:
    """The videos in `order`; `before` is called with the number of each batch, and of the end, as it is reached."""

    def generate() -> Iterator[Data]:
        for step, start in enumerate(range(0, len(order), BATCH)):
            before(step)
            rows = order[start : start + BATCH]
            yield data[0][rows], data[1][rows]
        before(len(range(0, len(order), BATCH)))

    spec = (tf.TensorSpec((None, FEATURES)), tf.TensorSpec((None, CLASSES)))
    return tf.data.Dataset.from_generator(generate, output_signature=spec)


def run(
    folder: Path,
    settings: TrainingSettings = RECIPE,
    *,
    train_acts: Acts | None = None,
    validation_acts: Acts | None = None,
    seed: int = 7,
    build_model: Callable[[], keras.Model] = build,
    data: Data | None = None,
    validation_data: Data | None = None,
) -> Result:
    """Trains on the small data; each act is done once, before the batch at its (epoch, step)."""
    training, validation = data or videos(VIDEOS, seed=1), validation_data or videos(VALIDATION_VIDEOS, seed=2)
    passes = iter(range(-1, 100))  # the first pass over the validation data is one batch that builds the metrics
    now = [0]

    def act(acts: Acts | None, place: tuple[int, int]) -> None:
        if acts and place in acts:
            acts.pop(place)()

    def epoch_batches(epoch: int) -> tf.data.Dataset:
        order = np.random.default_rng(epoch).permutation(len(training[0]))
        return batches(training, lambda step: act(train_acts, (epoch, step)), order)

    def before_validation(step: int) -> None:
        if step == 0:
            now[0] = next(passes)
        act(validation_acts, (now[0], step))

    return train(
        build_model,
        epoch_batches,
        batches(validation, before_validation, np.arange(len(validation[0]))),
        settings,
        seed=seed,
        checkpoint_dir=folder / "checkpoints",
        log_dir=folder / "logs",
    )


def assert_same(result: Result, expected: Result) -> None:
    assert result[1] == expected[1]
    for weight, other in zip(result[0].weights, expected[0].weights, strict=True):
        np.testing.assert_array_equal(weight.numpy(), other.numpy(), err_msg=weight.path)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Result:
    model, log = run(tmp_path_factory.mktemp("unbroken"), RECIPE.model_copy(update={"checkpoint_minutes": 60.0}))
    # What the cases below rely on: patience runs out at the end of epoch 4.
    assert (log.best_epoch, len(log.epochs), log.stopped_early, log.resumed_from) == (2, 5, True, None)
    return model, log


def test_the_best_weights_are_those_returned(unbroken: Result) -> None:
    model, log = unbroken
    features, labels = videos(VALIDATION_VIDEOS, seed=2)
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


def test_the_log_counts_parameters_and_videos(unbroken: Result) -> None:
    model, log = unbroken
    assert log.parameters == 6 * 12 + 12 + 4 * 12 + 12 * 4 + 4 == model.count_params()
    assert [epoch.epoch for epoch in log.epochs] == [0, 1, 2, 3, 4]
    assert {epoch.videos for epoch in log.epochs} == {VIDEOS}
    assert log.validation_videos == VALIDATION_VIDEOS
    assert all(epoch.seconds > 0 for epoch in log.epochs)
    assert TrainingLog.from_json(log.to_json()) == log


def test_the_same_seed_gives_the_same_bits_and_another_one_does_not(tmp_path: Path, unbroken: Result) -> None:
    assert_same(run(tmp_path / "again"), unbroken)
    other = run(tmp_path / "other", RECIPE.model_copy(update={"max_epochs": 1}), seed=8)[1]
    assert other.epochs[0].loss != unbroken[1].epochs[0].loss


@pytest.mark.parametrize(
    ("train_place", "validation_place", "minutes", "resumed_from"),
    [
        pytest.param((0, 0), None, 1e-9, None, id="before-the-first-step"),
        pytest.param((0, 3), None, 1e-9, (0, 3), id="in-the-first-epoch"),
        pytest.param((1, 0), None, 1e-9, (1, 0), id="between-epochs"),
        pytest.param((2, 4), None, 1e-9, (2, 4), id="in-a-later-epoch"),
        pytest.param((2, STEPS), None, 1e-9, (2, STEPS), id="after-the-last-step-of-an-epoch"),
        pytest.param(None, (1, 2), 1e-9, (1, STEPS), id="in-the-validation"),
        pytest.param((4, 1), None, 1e-9, (4, 1), id="while-patience-runs-out"),
        pytest.param((3, 2), None, 60.0, (3, 0), id="long-after-the-last-checkpoint"),
    ],
)
def test_an_interrupted_training_ends_with_the_same_bits(
    tmp_path: Path,
    unbroken: Result,
    train_place: tuple[int, int] | None,
    validation_place: tuple[int, int] | None,
    minutes: float,
    resumed_from: tuple[int, int] | None,
) -> None:
    settings = RECIPE.model_copy(update={"checkpoint_minutes": minutes})
    with pytest.raises(tf.errors.UnknownError, match="Interruption"):
        run(
            tmp_path,
            settings,
            train_acts={train_place: interrupt} if train_place else None,
            validation_acts={validation_place: interrupt} if validation_place else None,
        )
    result = run(tmp_path, settings)
    assert_same(result, unbroken)
    assert result[1].resumed_from == resumed_from


def test_a_killed_process_is_taken_up_again(tmp_path: Path, unbroken: Result) -> None:
    killed = subprocess.run([sys.executable, __file__, "be-killed", tmp_path], stdout=subprocess.DEVNULL, check=False)
    assert killed.returncode == -signal.SIGKILL
    result = run(tmp_path)
    assert_same(result, unbroken)
    assert result[1].resumed_from in ((1, 2), (1, 3), (1, 4))  # tf.data reads ahead


@pytest.mark.parametrize(
    ("during", "place", "saved"),  # tf.data reads ahead
    [("train_acts", (1, 3), ((1, 2), (1, 3), (1, 4))), ("validation_acts", (2, 1), ((2, STEPS),))],
)
def test_sigterm_saves_and_ends_the_process(
    tmp_path: Path, unbroken: Result, during: str, place: tuple[int, int], saved: Any
) -> None:
    settings = RECIPE.model_copy(update={"checkpoint_minutes": 60.0})
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as stopped:
        run(tmp_path, settings, **{during: {place: lambda: os.kill(os.getpid(), signal.SIGTERM)}})  # type: ignore[arg-type]
    assert stopped.value.code == EXIT_PREEMPTED == 143
    assert signal.getsignal(signal.SIGTERM) is before
    result = run(tmp_path, settings)
    assert_same(result, unbroken)
    assert result[1].resumed_from in saved


def test_a_finished_training_returns_at_once(tmp_path: Path) -> None:
    settings = RECIPE.model_copy(update={"max_epochs": 2})
    finished = run(tmp_path, settings)
    assert len(finished[1].epochs) == 2 and not finished[1].stopped_early
    read = {(epoch, 0): interrupt for epoch in range(-1, 3)}
    assert_same(run(tmp_path, settings, train_acts=dict(read), validation_acts=dict(read)), finished)
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(tf.errors.UnknownError):
        run(tmp_path, train_acts={(0, 2): interrupt})
    state = next((tmp_path / "checkpoints").glob("state-*.npz"))
    state.write_bytes(state.read_bytes()[:-100])
    with pytest.raises(InputError, match=f"{state} cannot be read .*: delete folder {state.parent} to start anew"):
        run(tmp_path)


def test_a_loss_that_is_not_finite_ends_the_training_and_is_never_saved(tmp_path: Path) -> None:
    data = videos(VIDEOS, seed=1)
    with pytest.raises(
        InputError, match=r"loss is nan in epoch 1 at step 3, learning rate 0\.2: lower training"
    ) as error:
        run(tmp_path, data=data, train_acts={(1, 2): lambda: data[1].fill(np.nan)})
    assert f"last good checkpoint in {tmp_path / 'checkpoints'}: epoch 1, step 2" in str(error.value)
    assert "\n" not in str(error.value)
    checkpoint = Checkpoint(tmp_path / "checkpoints")
    progress = checkpoint.load()
    assert progress and progress.step == 2
    assert all(np.isfinite(array).all() for array in checkpoint.load_state().values())


def test_a_validation_loss_that_is_not_finite_ends_the_training(tmp_path: Path) -> None:
    data = videos(VALIDATION_VIDEOS, seed=2)
    with pytest.raises(InputError, match=f"validation loss is nan in epoch 1 at step {STEPS}"):
        run(tmp_path, validation_data=data, validation_acts={(1, 0): lambda: data[1].fill(np.nan)})


def test_weights_that_are_not_finite_are_never_saved(tmp_path: Path) -> None:
    class Overflowing(keras.layers.Layer):
        """Has a weight that no loss shows: 1, 1e30, infinity."""

        def build(self, shape: Any) -> None:
            self.moment = self.add_weight(shape=(), initializer="ones", trainable=False)

        def call(self, inputs: Any, training: bool = False) -> Any:
            if training:
                self.moment.assign(self.moment * 1e30)
            return inputs

    def build_overflowing() -> keras.Model:
        inputs = keras.Input((FEATURES,))
        logits = keras.layers.Dense(CLASSES, name="logits")(Overflowing()(inputs))
        return keras.Model(inputs, keras.layers.Activation("sigmoid")(logits))

    with pytest.raises(InputError, match=r"weight is not finite in epoch 0 at step 2, .*: epoch 0, step 1"):
        run(tmp_path, build_model=build_overflowing)
    progress = Checkpoint(tmp_path / "checkpoints").load()
    assert progress and progress.step == 1


@pytest.mark.parametrize(
    ("empty", "message"),
    [("data", "training data: no video in epoch 0"), ("validation_data", "validation data: no videos")],
)
def test_an_empty_split_is_refused(tmp_path: Path, empty: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(tmp_path, **{empty: videos(0, seed=1)})  # type: ignore[arg-type]


@pytest.mark.parametrize("decay_rate", [0.5, 1.0])
def test_the_learning_rate_falls_in_steps(tmp_path: Path, decay_rate: float) -> None:
    settings = RECIPE.model_copy(update={"decay_rate": decay_rate, "max_epochs": 4, "patience": 9})
    log = run(tmp_path, settings)[1]
    # 79 samples are 10 steps of 8, rounded up; an epoch has 6 steps.
    expected = [0.2 * decay_rate**falls for falls in (0, 1, 1, 2)]
    np.testing.assert_allclose([epoch.learning_rate for epoch in log.epochs], expected, rtol=1e-6)


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_trains_and_resumes(tmp_path: Path, precision: str) -> None:
    settings = RECIPE.model_copy(update={"precision": precision, "max_epochs": 2})
    policies: list[str] = []

    def build_noting_the_policy() -> keras.Model:
        policies.append(keras.config.dtype_policy().name)
        return build()

    expected = run(tmp_path / "unbroken", settings, build_model=build_noting_the_policy)
    assert policies == [precision]
    assert keras.config.dtype_policy().name == "float32"
    assert expected[0].layers[1].compute_dtype == precision.removeprefix("mixed_")
    assert {weight.dtype for weight in expected[0].trainable_weights} == {"float32"}
    assert expected[1].epochs[1].loss < expected[1].epochs[0].loss

    with pytest.raises(tf.errors.UnknownError):
        run(tmp_path / "broken", settings, train_acts={(1, 3): interrupt})
    assert_same(run(tmp_path / "broken", settings), expected)


def test_steps_are_traced_once_however_many_epochs(tmp_path: Path) -> None:
    def traces(epochs: int) -> int:
        calls = []

        @keras.saving.register_keras_serializable("test")
        class Counting(keras.layers.Layer):
            def call(self, inputs: Any) -> Any:
                calls.append(inputs.shape)
                return inputs

        def build_counting() -> keras.Model:
            inputs = keras.Input((FEATURES,))
            logits = keras.layers.Dense(CLASSES, name="logits")(Counting()(inputs))
            return keras.Model(inputs, keras.layers.Activation("sigmoid")(logits))

        settings = RECIPE.model_copy(update={"max_epochs": epochs, "patience": 9})
        run(tmp_path / str(epochs), settings, build_model=build_counting)
        return len(calls)

    assert traces(1) == traces(3)


def test_tensorboard_gets_the_scores_of_both_splits(tmp_path: Path) -> None:
    log = run(tmp_path, RECIPE.model_copy(update={"max_epochs": 2}))[1]

    def scalars(split: str) -> dict[tuple[int, str], float]:
        (file,) = (tmp_path / "logs" / split).iterdir()
        return {
            (event.step, value.tag): float(tf.make_ndarray(value.tensor))
            for event in tf.compat.v1.train.summary_iterator(str(file))
            for value in event.summary.value
        }

    train_scores = {(e.epoch, n): getattr(e, n) for e in log.epochs for n in ("loss", "f1", "learning_rate", "seconds")}
    validation_scores = {(e.epoch, n): getattr(e, f"val_{n}") for e in log.epochs for n in ("loss", "f1")}
    assert scalars("train") == pytest.approx(train_scores)
    assert scalars("validation") == pytest.approx(validation_scores)


@pytest.mark.parametrize("gated", [False, True])
def test_a_video_classifier_is_trained_through_its_logits_or_its_gated_probabilities(
    tmp_path: Path, gated: bool
) -> None:
    settings = ModelSettings(encoder={"name": "average"}, context_gating=gated, hidden_units=(8,), dropout=0.1)
    features, labels = videos(VIDEOS, seed=1)
    dataset = tf.data.Dataset.from_tensor_slices(({"mean": np.tile(features, 192)}, labels)).batch(BATCH)
    model, log = train(
        lambda: build_video_classifier(settings, CLASSES, seed=3),
        lambda epoch: dataset,
        dataset,
        RECIPE.model_copy(update={"max_epochs": 3, "learning_rate": 1e-3}),
        seed=0,
        checkpoint_dir=tmp_path / "checkpoints",
        log_dir=tmp_path / "logs",
    )
    assert log.epochs[2].val_loss < log.epochs[0].val_loss
    probabilities = model.predict(dataset, verbose=0).astype("float64")
    loss = -np.mean(labels * np.log(probabilities) + (1 - labels) * np.log(1 - probabilities))
    np.testing.assert_allclose(log.epochs[log.best_epoch].val_loss, loss, rtol=1e-5)


def test_two_replicas_train_one_model_and_resume(tmp_path: Path) -> None:
    subprocess.run([sys.executable, __file__, "mirrored", tmp_path], check=True, stdout=subprocess.DEVNULL)
    report = json.loads((tmp_path / "report.json").read_text())
    unbroken, resumed = (TrainingLog.from_json(report[name]) for name in ("unbroken", "resumed"))
    assert report["replicas"] == 2
    assert {epoch.videos for epoch in unbroken.epochs} == {VIDEOS - VIDEOS % BATCH}
    assert unbroken.validation_videos == VALIDATION_VIDEOS
    # The validation saw the very model that is returned: the replicas' moving moments were joined before.
    assert unbroken.epochs[unbroken.best_epoch].val_loss == pytest.approx(report["loss"], rel=1e-5)
    assert unbroken.epochs[unbroken.best_epoch].val_f1 == pytest.approx(report["f1"], rel=1e-6)

    assert resumed.resumed_from == (1, 3)
    assert len(resumed.epochs) == len(unbroken.epochs) == 2
    for epoch, other in zip(resumed.epochs, unbroken.epochs, strict=True):
        for name in ("loss", "f1", "val_loss", "val_f1", "learning_rate", "videos"):
            assert getattr(epoch, name) == pytest.approx(getattr(other, name), rel=1e-5), name


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


def be_killed(folder: Path) -> None:
    """Trains until SIGKILL within the second epoch."""
    run(folder, train_acts={(1, 4): lambda: os.kill(os.getpid(), signal.SIGKILL)})


def mirrored(folder: Path) -> None:
    """Trains on two virtual devices, unbroken and interrupted, and reports what came of it."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    tf.distribute.MirroredStrategy = functools.partial(tf.distribute.MirroredStrategy, ["CPU:0", "CPU:1"])
    settings = RECIPE.model_copy(update={"strategy": "mirrored", "max_epochs": 2})
    model, log = run(folder / "unbroken", settings)
    try:
        run(folder / "broken", settings, train_acts={(1, 3): interrupt})
    except tf.errors.UnknownError:
        resumed = run(folder / "broken", settings)[1]
    features, labels = videos(VALIDATION_VIDEOS, seed=2)
    probabilities = np.asarray(model(features), "float64")
    predicted = probabilities > 0.5
    report = {
        "replicas": tf.distribute.MirroredStrategy().num_replicas_in_sync,
        "unbroken": log.to_json(),
        "resumed": resumed.to_json(),
        "loss": -np.mean(labels * np.log(probabilities) + (1 - labels) * np.log(1 - probabilities)),
        "f1": 2 * np.sum(predicted * labels) / (predicted.sum() + labels.sum()),
    }
    (folder / "report.json").write_text(json.dumps(report))


if __name__ == "__main__":
    {"be-killed": be_killed, "mirrored": mirrored}[sys.argv[1]](Path(sys.argv[2]))
