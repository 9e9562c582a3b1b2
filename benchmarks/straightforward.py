"""Every encoder written straight from its formula, in TensorFlow and Keras on float32 frames: the reference to beat.

Same maths, weights and masks as ours, without any optimization.
"""

from typing import Any

import keras
import tensorflow as tf

Shape = tuple[int, ...]


class Encoder(keras.layers.Layer):
    """The base of the pooling encoders."""

    def __init__(self, clusters: int, hidden_size: int = 0) -> None:
        super().__init__()
        self.clusters, self.hidden_size = clusters, hidden_size

    def weight(self, name: str, shape: Shape, deviation: float) -> Any:
        """A trainable matrix, drawn from a normal distribution or zero."""
        start = keras.initializers.RandomNormal(stddev=deviation) if deviation else "zeros"
        return self.add_weight(shape=shape, initializer=start, name=name)

    def build_assignment(self, width: int, clusters: int) -> None:
        """W and b."""
        self.w = self.weight("w", (width, clusters), width**-0.5)
        self.b = self.weight("b", (clusters,), 0)

    def shares(self, frames: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """softmax(x W + b) of real frames."""
        logits = tf.matmul(tf.reshape(frames, (-1, frames.shape[-1])), self.w) + self.b
        logits = tf.reshape(logits, (-1, frames.shape[1], self.w.shape[1]))
        return tf.nn.softmax(logits) * tf.cast(mask, tf.float32)[..., None]


def flat_normalized(clusters: tf.Tensor) -> tf.Tensor:
    """Scales the columns to length 1, then the whole."""
    columns = tf.nn.l2_normalize(clusters, 1)
    return tf.nn.l2_normalize(tf.reshape(columns, (-1, clusters.shape[1] * clusters.shape[2])), -1)


class DBoF(Encoder):
    """Sum of shares, normalized, projected."""

    def build(self, shape: Shape) -> None:
        """W, b and the projection."""
        self.build_assignment(shape[-1], self.clusters)
        self.p = self.weight("p", (self.clusters, self.hidden_size), self.clusters**-0.5)

    def call(self, frames: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """Pools the real frames of each video."""
        return tf.matmul(tf.nn.l2_normalize(tf.reduce_sum(self.shares(frames, mask), 1), -1), self.p)


class NetVLAD(Encoder):
    """Residuals to centres, normalized, projected."""

    def build(self, shape: Shape) -> None:
        """W, b, centres and the projection."""
        width = shape[-1]
        self.build_assignment(width, self.clusters)
        self.c = self.weight("c", (width, self.clusters), width**-0.5)
        self.p = self.weight("p", (width * self.clusters, self.hidden_size), self.clusters**-0.5)

    def call(self, frames: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """Pools the real frames of each video."""
        a = self.shares(frames, mask)
        v = tf.einsum("bfd,bfk->bdk", frames, a) - tf.reduce_sum(a, 1)[:, None] * self.c
        return tf.matmul(flat_normalized(v), self.p)


class NetFV(Encoder):
    """First and second moments around centres, normalized, projected."""

    def build(self, shape: Shape) -> None:
        """W, b, centres, rho and the projection."""
        width = shape[-1]
        self.build_assignment(width, self.clusters)
        self.c = self.weight("c", (width, self.clusters), width**-0.5)
        self.rho = self.weight("rho", (width, self.clusters), 0.01)
        self.p = self.weight("p", (2 * width * self.clusters, self.hidden_size), self.clusters**-0.5)

    def call(self, frames: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """Pools the real frames of each video."""
        a, sigma, c = self.shares(frames, mask), tf.nn.softplus(self.rho) + 1e-3, self.c
        n = tf.reduce_sum(a, 1)[:, None]
        ax, axx = tf.einsum("bfd,bfk->bdk", frames, a), tf.einsum("bfd,bfk->bdk", frames * frames, a)
        first, second = (ax - c * n) / sigma, (axx - 2 * c * ax + c * c * n) / sigma**2 - n
        return tf.matmul(tf.concat([flat_normalized(first), flat_normalized(second)], -1), self.p)


class NeXtVLAD(Encoder):
    """Grouped residuals with attention, batch-normalized."""

    def __init__(self, clusters: int, groups: int = 8) -> None:
        super().__init__(clusters)
        self.groups = groups
        self.attention = keras.layers.Dense(groups, "sigmoid")
        self.assignment = keras.layers.Dense(groups * clusters, use_bias=False)
        self.norm, self.pooled_norm = keras.layers.BatchNormalization(), keras.layers.BatchNormalization()

    def build(self, shape: Shape) -> None:
        """The expansion and the centres."""
        self.expand = keras.layers.Dense(2 * shape[-1])
        self.c = self.weight("c", (2 * shape[-1] // self.groups, self.clusters), 0.1)

    def call(self, frames: tf.Tensor, mask: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Pools the real frames of each video."""
        size, parts = self.c.shape[0], frames.shape[1] * self.groups
        x = self.expand(frames)
        attention = self.attention(x) * tf.cast(mask, tf.float32)[..., None]
        logits = self.norm(self.assignment(x), mask=mask, training=training)
        a = tf.nn.softmax(tf.reshape(logits, (-1, parts, self.clusters))) * tf.reshape(attention, (-1, parts, 1))
        v = tf.einsum("bfd,bfk->bdk", tf.reshape(x, (-1, parts, size)), a) - tf.reduce_sum(a, 1)[:, None] * self.c
        video = tf.reshape(tf.nn.l2_normalize(v, 1), (-1, size * self.clusters))
        return self.pooled_norm(video, training=training)


class Recurrent(keras.layers.Layer):
    """Keras' layers with a mask."""

    def __init__(self, cell: str, layers: int, units: int) -> None:
        super().__init__()
        kind = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU}[cell]
        self.stack = [kind(units, return_sequences=nth < layers - 1) for nth in range(layers)]

    def call(self, frames: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """The state after the last real frame."""
        for layer in self.stack:
            frames = layer(frames, mask=mask)
        return frames


class Transformer(keras.layers.Layer):
    """One encoder layer from Keras' parts, as in Keras' examples."""

    def __init__(self, heads: int, dense_units: int) -> None:
        super().__init__()
        self.heads, self.dense_units = heads, dense_units

    def build(self, shape: Shape) -> None:
        """All layers."""
        frames, width = shape[1], shape[-1]
        self.positions = keras.layers.Embedding(frames, width)
        self.attention = keras.layers.MultiHeadAttention(self.heads, width)
        self.dense = keras.Sequential([keras.layers.Dense(self.dense_units, "relu"), keras.layers.Dense(width)])
        self.first_norm, self.last_norm = keras.layers.LayerNormalization(), keras.layers.LayerNormalization()

    def call(self, frames: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """The maximum over the real frames."""
        x = frames + self.positions(tf.range(frames.shape[1]))
        y = self.first_norm(x + self.attention(x, x, attention_mask=mask[:, None, :]))
        y = self.last_norm(y + self.dense(y))
        return tf.reduce_max(tf.where(mask[..., None], y, float("-inf")), axis=1)
