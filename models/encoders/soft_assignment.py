"""Soft assignment: how much of each frame belongs to each learnt cluster."""

from typing import Any

import keras
from keras import KerasTensor, ops

from models.layers.normalization import MOMENTUM


@keras.saving.register_keras_serializable("yt8m")
class SoftAssignment(keras.layers.Layer):
    """Shares a = softmax(x W + b) of frames x to clusters: equation 16 of the thesis, section 3.8.2.

    W [D, K] starts as N(0, 1/sqrt(D)), b as 0. The shares of a real frame sum to 1, those of padding are 0.

    Args:
        clusters: number of clusters, K above.
        batch_norm: a = softmax(BN(x W)) instead; the moments of a batch are those of its real frames.
        seed: of the initial weights; None for a random one.

    Call arguments:
        frames: float, [batch, frames, D].
        mask: bool, [batch, frames]; true for real frames.
        training: whether batch normalization uses the moments of the batch.

    Returns:
        the layer's variable dtype (float32 in half precision too), [batch, frames, clusters].

    Example:
        >>> frames, mask = keras.random.normal((2, 5, 8)), keras.ops.ones((2, 5), "bool")
        >>> SoftAssignment(clusters=4)(frames, mask).shape
        TensorShape([2, 5, 4])
    """

    def __init__(self, clusters: int, batch_norm: bool = False, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.clusters = clusters
        self.batch_norm = batch_norm
        self.seed = seed
        norm = keras.layers.BatchNormalization
        self.norm = norm(momentum=MOMENTUM, dtype=self.variable_dtype, name="norm") if batch_norm else None

    def build(self, frames_shape: tuple[int, ...]) -> None:
        """Creates W and b or the batch normalization."""
        width = frames_shape[-1]
        normal = keras.initializers.RandomNormal(stddev=width**-0.5, seed=self.seed)
        self.kernel = self.add_weight(shape=(width, self.clusters), initializer=normal, name="kernel")
        if self.norm is None:
            self.bias = self.add_weight(shape=(self.clusters,), initializer="zeros", autocast=False, name="bias")
        else:
            self.norm.build((None, self.clusters))

    def call(self, frames: KerasTensor, mask: KerasTensor, training: bool = False) -> KerasTensor:
        """Assigns the real frames of each video to clusters."""
        return ops.softmax(self.logits(frames, mask, training)) * ops.cast(mask, self.variable_dtype)[..., None]

    def logits(self, frames: KerasTensor, mask: KerasTensor, training: bool = False) -> KerasTensor:
        """The inputs of the softmax, for padding too; arguments, dtype and shape as in a call."""
        # All frames as one matrix: TensorFlow then fuses the bias into the product and saves a pass over the logits.
        logits = ops.matmul(ops.reshape(frames, (-1, frames.shape[-1])), self.kernel)
        logits, real = ops.cast(logits, self.variable_dtype), ops.reshape(mask, (-1,))
        logits = logits + self.bias if self.norm is None else self.norm(logits, mask=real, training=training)
        return ops.reshape(logits, (-1, ops.shape(frames)[1], self.clusters))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "clusters": self.clusters, "batch_norm": self.batch_norm, "seed": self.seed}
