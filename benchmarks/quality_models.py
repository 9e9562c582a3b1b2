"""What quality.py runs in processes of their own: reading shards, baselines in bare Keras, and predictions.

    python benchmarks/quality_models.py read SHARDS FILE
    python benchmarks/quality_models.py train BASELINE SEED MAX_EPOCHS DATA OUT
    python benchmarks/quality_models.py predict SAVED_MODEL DATA OUT

The baselines share no code with models/: dense layers as Keras has them, and the model of YouTube-8M's starter code.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from measuring import measured, write_json

from components.readable_log import import_tensorflow

if TYPE_CHECKING:  # imported where it is needed: quality.py reads BASELINES without TensorFlow
    import keras

RGB, AUDIO, CLASSES = 1024, 128, 3862
PREDICTED = ("validation", "test")

# Videos at a time where nothing is trained.
BATCH = 1024


@dataclass(frozen=True)
class Baseline:
    """A model and its training with Adam, by default in the recipe of the thesis.

    Attributes:
        hidden_units: widths of ReLU layers.
        dropout: rate after each of them.
        experts: number of experts a label, besides one that always predicts 0; 0 for a logistic classifier.
        unit_length: whether a video's vector is scaled to length 1.
        l2: factor of half the squared weights in the loss.
        label_sum: whether losses are summed over labels, not averaged.
        learning_rate: at the start.
        decay_rate: factor of the learning rate after every `decay_videos`.
        decay_videos: number of training videos between two decays.
        epsilon: Adam's.
        clipnorm: bound of the norm of each variable's gradient.
        batch_size: videos in a step.
        patience: ends the training after so many epochs without a better validation loss.
        max_epochs: ends it after so many.
    """

    hidden_units: tuple[int, ...] = ()
    dropout: float = 0.0
    experts: int = 0
    unit_length: bool = False
    l2: float = 0.0
    label_sum: bool = False
    learning_rate: float = 1e-4
    decay_rate: float = 1.0
    decay_videos: int = 4_000_000
    epsilon: float = 1e-7
    clipnorm: float | None = None
    batch_size: int = 128
    patience: int = 3
    max_epochs: int = 100


BASELINES = {
    "logistic": Baseline(),
    "dense": Baseline(hidden_units=(2304, 1152)),
    "dense-dropout": Baseline(hidden_units=(2304, 1152), dropout=0.35),
    # MoeModel with the defaults of google/youtube-8m (train.py, losses.py, utils.py, video_level_models.py) and Adam's
    # epsilon of TensorFlow 1. There it trains 5 epochs of 5 million videos; here the validation loss ends it.
    "starter-moe": Baseline(
        experts=2, unit_length=True, l2=1e-8, label_sum=True, learning_rate=0.01, decay_rate=0.95, epsilon=1e-8,
        clipnorm=1.0, batch_size=1024,
    ),
}  # fmt: skip


def read(shards: str, file: str) -> None:
    """Writes the means of all videos with labels, float32 [videos, 1152], and their (video, label) pairs.

    Args:
        shards: folder of video-level shards.
        file: .npz to write.
    """
    import tensorflow as tf

    features = {
        "mean_rgb": tf.io.FixedLenFeature([RGB], tf.float32),
        "mean_audio": tf.io.FixedLenFeature([AUDIO], tf.float32),
        "labels": tf.io.VarLenFeature(tf.int64),
    }
    records = tf.data.TFRecordDataset(sorted(map(str, Path(shards).iterdir()))).batch(BATCH)
    means: list[np.ndarray] = []
    pairs: list[np.ndarray] = []
    videos = 0
    for batch in records:
        parsed = tf.io.parse_example(batch, features)
        labels = parsed["labels"]
        labelled, video = np.unique(labels.indices.numpy()[:, 0], return_inverse=True)
        means.append(np.concatenate([parsed["mean_rgb"], parsed["mean_audio"]], axis=1)[labelled])
        pairs.append(np.stack([videos + video, labels.values.numpy()], axis=1).astype(np.int32))
        videos += labelled.size
    np.savez(file, means=np.concatenate(means), pairs=np.concatenate(pairs))


def load(folder: str | Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Means float32 [videos, 1152] and labels uint8 [videos, 3862] of a split that `read` wrote."""
    with np.load(Path(folder, f"{split}.npz")) as content:
        means, pairs = content["means"], content["pairs"]
    labels = np.zeros((len(means), CLASSES), np.uint8)
    labels[tuple(pairs.T)] = 1
    return means, labels


def train(name: str, seed: str, max_epochs: str, data: str, out: str) -> None:
    """Trains a baseline; writes what it cost and the probabilities of its best epoch.

    Args:
        name: in BASELINES.
        seed: of weights, dropout and the order of videos.
        max_epochs: ends the training, if nothing else does.
        data: folder of the splits.
        out: folder to write.
    """
    import keras

    baseline, videos = BASELINES[name], load(data, "train")
    keras.utils.set_random_seed(int(seed))
    model = build(baseline)
    stopping = keras.callbacks.EarlyStopping(patience=baseline.patience, restore_best_weights=True)
    with measured() as usage:
        epochs = model.fit(
            *videos,
            batch_size=baseline.batch_size,
            epochs=int(max_epochs),
            validation_data=load(data, "validation"),
            validation_batch_size=BATCH,
            callbacks=[stopping],
            verbose=2,
        ).epoch
    write_probabilities(model.predict_on_batch, data, out)
    cost = {"seconds": usage.wall, "epochs": len(epochs), "memory_mb": usage.memory, "parameters": model.count_params()}
    write_json(Path(out, "cost.json"), cost)


def build(baseline: Baseline) -> "keras.Model":
    """The compiled model: means -> a probability for each label."""
    import keras
    from keras import layers, ops

    inputs = keras.Input((RGB + AUDIO,))
    vector = layers.UnitNormalization()(inputs) if baseline.unit_length else inputs
    for units in baseline.hidden_units:
        vector = layers.Dense(units, activation="relu")(vector)
        vector = layers.Dropout(baseline.dropout)(vector) if baseline.dropout else vector
    if baseline.experts:
        l2 = keras.regularizers.L2(baseline.l2 / 2)
        gates = layers.Dense(CLASSES * (baseline.experts + 1), use_bias=False, kernel_regularizer=l2)(vector)
        experts = layers.Dense(CLASSES * baseline.experts, activation="sigmoid", kernel_regularizer=l2)(vector)
        shares = ops.softmax(ops.reshape(gates, (-1, CLASSES, baseline.experts + 1)))[..., :-1]
        probabilities = ops.sum(shares * ops.reshape(experts, (-1, CLASSES, baseline.experts)), axis=-1)
    else:
        probabilities = layers.Dense(CLASSES, activation="sigmoid")(vector)

    def cross_entropy(labels: "keras.KerasTensor", probabilities: "keras.KerasTensor") -> "keras.KerasTensor":
        epsilon = 1e-7
        right, wrong = ops.log(probabilities + epsilon), ops.log(1 - probabilities + epsilon)
        return -ops.sum(labels * right + (1 - labels) * wrong, axis=-1)

    rate = keras.optimizers.schedules.ExponentialDecay(
        baseline.learning_rate, baseline.decay_videos / baseline.batch_size, baseline.decay_rate, staircase=True
    )
    model = keras.Model(inputs, probabilities)
    # What is faster on a CPU: XLA takes longer for dropout's random numbers than for the rest of the step.
    model.compile(
        keras.optimizers.Adam(rate, epsilon=baseline.epsilon, clipnorm=baseline.clipnorm),
        cross_entropy if baseline.label_sum else "binary_crossentropy",
        jit_compile=not baseline.dropout,
    )
    return model


def predict(saved_model: str, data: str, out: str) -> None:
    """Writes the probabilities of a model that `yt8m run` exported."""
    import tensorflow as tf

    model = tf.saved_model.load(saved_model)
    signature = model.signatures["raw_tensors"]
    write_probabilities(lambda means: signature(mean=tf.constant(means))["probabilities"].numpy(), data, out)


def write_probabilities(predict: Callable[[np.ndarray], np.ndarray], data: str, out: str) -> None:
    """Writes validation.npy and test.npy: float32 [videos, 3862]."""
    for split in PREDICTED:
        means, _ = load(data, split)
        batches = [predict(means[start : start + BATCH]) for start in range(0, len(means), BATCH)]
        np.save(Path(out, f"{split}.npy"), np.concatenate(batches))


if __name__ == "__main__":
    import_tensorflow()
    commands: dict[str, Callable[..., None]] = {"read": read, "train": train, "predict": predict}
    commands[sys.argv[1]](*sys.argv[2:])
