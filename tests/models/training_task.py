"""A small, deterministic training that overfits at once; as a script, for tests that need a process of their own."""

import functools
import json
import math
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import keras
import numpy as np
import tensorflow as tf

from models.errors import InputError
from models.training.log import TrainingLog
from models.training.train import train
from models.training_settings import TrainingSettings

VIDEOS, VALIDATION_VIDEOS, FEATURES, CLASSES, BATCH = 44, 19, 6, 4, 8
# The last batch has one video, so that one of two replicas has none.
REPLICATED_VALIDATION_VIDEOS = 2 * BATCH + 1
STEPS = 6  # of an epoch; the last batch has 4 videos

# Overfits at once, so that early stopping ends it; a checkpoint after every step.
RECIPE = TrainingSettings(
    learning_rate=0.2,
    decay_samples=10 * BATCH - 1,
    batch_size=BATCH,
    max_epochs=12,
    patience=2,
    checkpoint_minutes=1e-9,
)

# One epoch of the linear model on full batches, which `trained_by_formula` computes too.
LINEAR_VIDEOS = 10 * BATCH
LINEAR = RECIPE.model_copy(update={"learning_rate": 0.01, "decay_rate": 1.0, "max_epochs": 1})

# Changes of LINEAR and the weight of the L2 regularization. The limits are below most of the gradients.
LINEAR_CASES: dict[str, tuple[dict[str, Any], float]] = {
    "plain": ({}, 0.0),
    "clipvalue": ({"clipvalue": 0.01}, 0.0),
    "clipnorm": ({"clipnorm": 0.05}, 0.0),
    "regularized": ({}, 0.5),
    "cosine": ({"schedule": "cosine"}, 0.0),
    "epsilon": ({"epsilon": 0.01}, 0.0),
    "scaled-loss": ({"precision": "mixed_float16", "clipvalue": 0.01}, 0.0),
}

Data = tuple[np.ndarray, np.ndarray]
Result = tuple[keras.Model, TrainingLog]
Acts = dict[tuple[int, int], Callable[[], object]]


class Interruption(Exception):
    """Stands for anything that may end a process."""


def interrupt() -> NoReturn:
    raise Interruption


def build() -> keras.Model:
    """A model with everything a checkpoint must restore: moments, and dropout without a seed."""
    inputs = keras.Input((FEATURES,))
    hidden = keras.layers.BatchNormalization(momentum=0.9)(keras.layers.Dense(12, "relu")(inputs))
    logits = keras.layers.Dense(CLASSES, name="logits", dtype="float32")(keras.layers.Dropout(0.5)(hidden))
    return keras.Model(inputs, keras.layers.Activation("sigmoid", dtype="float32")(logits))


def build_linear(l2: float = 0.0) -> keras.Model:
    """One layer, trained through its logits."""
    inputs = keras.Input((FEATURES,))
    initializer = keras.initializers.RandomNormal(stddev=0.5, seed=1)
    regularizer = keras.regularizers.L2(l2) if l2 else None
    logits = keras.layers.Dense(CLASSES, kernel_initializer=initializer, kernel_regularizer=regularizer, name="logits")(
        inputs
    )
    return keras.Model(inputs, keras.layers.Activation("sigmoid", dtype="float32", name="probabilities")(logits))


def trained_by_formula(settings: TrainingSettings, data: Data, l2: float) -> list[np.ndarray]:
    """Kernel and bias of `build_linear` after an epoch: Adam (arXiv 1412.6980, end of section 2), in float64."""
    features, labels = (array.astype("float64") for array in data)
    weights = [weight.astype("float64") for weight in build_linear().get_weights()]
    moments = [(np.zeros_like(weight), np.zeros_like(weight)) for weight in weights]
    order = np.random.default_rng(0).permutation(len(features))
    for step, start in enumerate(range(0, len(order), BATCH), start=1):
        rows = order[start : start + BATCH]
        logits = features[rows] @ weights[0] + weights[1]
        errors = ((1 + np.tanh(logits / 2)) / 2 - labels[rows]) / labels[rows].size
        for place, gradient in enumerate((features[rows].T @ errors + 2 * l2 * weights[0], errors.sum(axis=0))):
            if settings.clipvalue:
                gradient = np.clip(gradient, -settings.clipvalue, settings.clipvalue)
            if settings.clipnorm:
                gradient = gradient * min(1, settings.clipnorm / np.linalg.norm(gradient))
            first, second = moments[place]
            moments[place] = first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
            rate = settings.learning_rate * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
            if settings.schedule == "cosine":
                rate *= (1 + np.cos(np.pi * (step - 1) / (LINEAR_VIDEOS / BATCH))) / 2
            weights[place] = weights[place] - rate * first / (np.sqrt(second) + settings.epsilon)
    return weights


def run_linear(folder: Path, case: str, **changes: Any) -> Result:
    """Trains the linear model of a case of LINEAR_CASES."""
    update, l2 = LINEAR_CASES[case]
    settings = LINEAR.model_copy(update=update | changes)
    return run(folder, settings, build_model=lambda: build_linear(l2), data=videos(LINEAR_VIDEOS, seed=3))


def videos(count: int, seed: int) -> Data:
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(count, FEATURES)).astype("float32")
    noise = generator.normal(size=(count, CLASSES))
    return features, (features[:, :CLASSES] + 1.5 * noise > 0.5).astype("float32")


def batches(data: Data, before: Callable[[int], None], order: np.ndarray) -> tf.data.Dataset:
    """The videos in `order`; `before` is called with the number of each batch before it, and of the end."""

    def generate() -> Iterator[Data]:
        for step, start in enumerate(range(0, len(order), BATCH)):
            before(step)
            rows = order[start : start + BATCH]
            yield data[0][rows], data[1][rows]
        before(len(range(0, len(order), BATCH)))

    spec = (tf.TensorSpec((None, FEATURES)), tf.TensorSpec((None, CLASSES)))
    # With prefetching, `before` would be called while earlier steps still run.
    options = tf.data.Options()
    options.experimental_optimization.inject_prefetch = False
    dataset = tf.data.Dataset.from_generator(generate, output_signature=spec).with_options(options)
    return dataset.apply(tf.data.experimental.assert_cardinality(math.ceil(len(order) / BATCH)))


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
    """Trains on the small data; each act is executed once, before the batch at its (epoch, step)."""
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


def be_killed(folder: Path) -> None:
    """Trains until SIGKILL within the second epoch."""
    run(folder, train_acts={(1, 4): lambda: os.kill(os.getpid(), signal.SIGKILL)})


def mirrored(folder: Path) -> None:
    """Trains on two virtual devices and reports the results."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    tf.distribute.MirroredStrategy = functools.partial(tf.distribute.MirroredStrategy, ["CPU:0", "CPU:1"])
    report = {"replicas": tf.distribute.MirroredStrategy().num_replicas_in_sync}
    report |= interrupted(folder) | {"linear": {}, "overflow": overflowing(folder / "overflow")}
    for case in LINEAR_CASES.keys() - {"plain"}:  # "regularized" covers it
        model, log = run_linear(folder / case, case, strategy="mirrored")
        report["linear"][case] = [log.epochs[0].val_loss, *(weight.tolist() for weight in model.get_weights())]
    (folder / "report.json").write_text(json.dumps(report))


def interrupted(folder: Path) -> dict[str, Any]:
    """The logs of an uninterrupted and an interrupted training, and the scores of the former."""
    settings = RECIPE.model_copy(update={"strategy": "mirrored", "max_epochs": 2})
    features, labels = data = videos(REPLICATED_VALIDATION_VIDEOS, seed=2)
    model, log = run(folder / "uninterrupted", settings, validation_data=data)
    try:
        run(folder / "broken", settings, train_acts={(1, 3): interrupt}, validation_data=data)
    except tf.errors.UnknownError:
        resumed = run(folder / "broken", settings, validation_data=data)[1]
    probabilities = np.asarray(model(features), "float64")
    predicted = probabilities > 0.5
    try:
        run(folder / "too few", settings, validation_data=videos(1, seed=2))
    except InputError as error:
        refusal = str(error)
    return {
        "refusal": refusal,
        "uninterrupted": log.to_json(),
        "resumed": resumed.to_json(),
        "loss": -np.mean(labels * np.log(probabilities) + (1 - labels) * np.log(1 - probabilities)),
        "f1": 2 * np.sum(predicted * labels) / (predicted.sum() + labels.sum()),
    }


def overflowing(folder: Path) -> list[list[float]]:
    """The kernel after a step whose gradients overflow in float16, on the second device alone."""
    features, labels = videos(BATCH, seed=3)
    features[np.random.default_rng(0).permutation(BATCH)[BATCH // 2 :]] *= 2000
    settings = LINEAR.model_copy(update={"strategy": "mirrored", "precision": "mixed_float16"})
    return run(folder, settings, build_model=build_linear, data=(features, labels))[0].get_weights()[0].tolist()


if __name__ == "__main__":
    mirrored(Path(sys.argv[1]))
    be_killed(Path(sys.argv[1], "killed"))
