"""The nearest training videos as a classifier: their labels, weighted by similarity."""

from typing import Any

import keras
import numpy as np
from keras import KerasTensor, ops

from models.features import MEAN
from models.video_classifier import video_inputs

# Initial factor of similarities: 1 / 0.07, the temperature of Wu et al.
SHARPNESS = 14.0

# Initial log-odds of the neighbours' weight against the labels' shares: 0.9.
TRUST = 2.2

# A video with this similarity is the same one: rounding to float16 moves it by 1e-5.
SAME = 0.9999


@keras.saving.register_keras_serializable("yt8m")
class Neighbours(keras.layers.Layer):
    """p = w sum_j a_j y_j + (1 - w) shares over the nearest stored videos j; a_j = softmax over j of t s_j.

    Wu et al., arXiv 1805.01978, section 3.4, with cosine similarities s of standardized features. Only t and w are
    trained. A stored video is not its own neighbour, so the training split is predicted like any other.

    Args:
        videos: number of stored videos.
        neighbours: how many of them are asked for their labels.
        labels: the most labels of a stored video.
        classes: number of labels.

    Call arguments:
        means: float, [batch, 1152].

    Returns:
        probabilities, dtype of the layer, [batch, classes].
    """

    def __init__(self, videos: int, neighbours: int, labels: int, classes: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.videos = videos
        self.neighbours = min(neighbours, videos)
        self.labels = labels
        self.classes = classes

    def build(self, means_shape: tuple[int, ...]) -> None:
        """Creates t and w, and the memory, which `remember` fills."""
        constant = keras.initializers.Constant
        self.sharpness = self.add_weight(shape=(), initializer=constant(np.log(SHARPNESS)), name="log_sharpness")
        self.trust = self.add_weight(shape=(), initializer=constant(TRUST), name="trust")

        def fixed(name: str, shape: tuple[int, ...], dtype: str = "float32") -> keras.Variable:
            return self.add_weight(
                shape=shape, dtype=dtype, initializer="zeros", trainable=False, autocast=False, name=name
            )

        width = means_shape[-1]
        self.center, self.scale = fixed("center", (width,)), fixed("scale", (width,))
        self.shares = fixed("shares", (self.classes,))
        self.memory = fixed("memory", (self.videos, width), "float16")
        self.memory_labels = fixed("memory_labels", (self.videos, self.labels), "int32")

    def remember(self, means: np.ndarray, labels: np.ndarray, shares: np.ndarray) -> None:
        """Fills the memory.

        Args:
            means: float32, [videos, 1152].
            labels: int32, [videos, labels]: ids, followed by `classes`, which stands for none.
            shares: float, [classes], of the training videos that have a label.
        """
        center, deviation = means.mean(axis=0), means.std(axis=0)
        self.center.assign(center)
        self.scale.assign(1 / np.maximum(deviation, 1e-6))
        self.shares.assign(shares)
        self.memory.assign(ops.cast(self._directions(means), "float16"))
        self.memory_labels.assign(labels)

    def _directions(self, means: KerasTensor) -> KerasTensor:
        standardized = (ops.cast(means, "float32") - self.center) * self.scale
        return ops.normalize(standardized, axis=-1)

    def call(self, means: KerasTensor) -> KerasTensor:
        """Mixes the labels of the neighbours with the shares."""
        similarities = ops.matmul(self._directions(means), ops.transpose(ops.cast(self.memory, "float32")))
        others = ops.where(similarities < SAME, similarities, -1.0)
        nearest, places = ops.top_k(ops.stop_gradient(others), self.neighbours)
        weights = ops.softmax(nearest * ops.exp(self.sharpness))
        ids = ops.take(self.memory_labels, places, axis=0)  # [batch, neighbours, labels]
        batch = ops.shape(ids)[0]
        rows = ops.broadcast_to(ops.reshape(ops.arange(batch), (-1, 1, 1)), ops.shape(ids))
        weights = ops.broadcast_to(weights[..., None], ops.shape(ids))
        places = ops.stack([ops.reshape(rows, (-1,)), ops.reshape(ids, (-1,))], axis=-1)
        votes = ops.scatter(places, ops.reshape(weights, (-1,)), (batch, self.classes + 1))[:, :-1]
        trust = ops.sigmoid(self.trust)
        return ops.cast(trust * votes + (1 - trust) * self.shares, self.compute_dtype)

    def compute_output_shape(self, means_shape: tuple[int, ...]) -> tuple[int | None, int]:
        """[batch, classes]."""
        return means_shape[0], self.classes

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        sizes = {"videos": self.videos, "neighbours": self.neighbours, "labels": self.labels, "classes": self.classes}
        return {**super().get_config(), **sizes}


def build_neighbours(means: np.ndarray, labels: np.ndarray, shares: np.ndarray, neighbours: int) -> keras.Model:
    """A model that answers with the labels of the nearest of some videos.

    Args:
        means: float32, [videos, 1152].
        labels: int32, [videos, most labels]: ids, followed by the number of classes, which stands for none.
        shares: float, [classes], of the training videos that have a label.
        neighbours: how many videos are asked.

    Returns:
        A functional model with the input `mean` and the output of `build_video_classifier`.

    Example:
        >>> means, labels = np.random.default_rng(0).normal(size=(20, 1152)), np.arange(20)[:, None] % 10
        >>> model = build_neighbours(means, labels, np.full(10, 0.1), neighbours=3)
        >>> model({"mean": ops.ones((2, 1152))}).shape
        TensorShape([2, 10])
    """
    inputs = video_inputs(frames=False)
    layer = Neighbours(len(means), neighbours, labels.shape[1], len(shares), dtype="float32", name="neighbours")
    probabilities = layer(inputs[MEAN])
    layer.remember(means, labels, shares)
    return keras.Model(inputs, probabilities, name="nearest_neighbours")
