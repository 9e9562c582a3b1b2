"""Squeeze and excitation: context gating through a narrow layer."""

from typing import Any

import keras
from keras import KerasTensor, ops

from models.layers.normalization import MOMENTUM


@keras.saving.register_keras_serializable("yt8m")
class SqueezeExcitation(keras.layers.Layer):
    """y = x * sigmoid(W2 relu(BN(W1 x))): the SE context gate of NeXtVLAD, Lin et al., arXiv 1811.05014.

    W1 [n, n / reduction] and W2 [n / reduction, n] start as truncated normals with deviation sqrt(2 / rows).

    Args:
        reduction: n divided by the width of the narrow layer.
        seed: of the initial weights; None for a random one.

    Call arguments:
        inputs: float, [batch, n].
        training: whether batch normalization uses the moments of the batch.

    Returns:
        dtype of the layer, [batch, n].

    Example:
        >>> SqueezeExcitation(reduction=4)(keras.random.normal((2, 8))).shape
        TensorShape([2, 8])
    """

    def __init__(self, reduction: int = 8, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.reduction = reduction
        self.seed = seed
        self.norm = keras.layers.BatchNormalization(momentum=MOMENTUM, dtype=self.dtype_policy, name="norm")

    def build(self, input_shape: tuple[int, ...]) -> None:
        """Creates W1, the batch normalization and W2."""
        width = input_shape[-1]
        narrow = width // self.reduction
        self.squeeze = self._add_normal("squeeze", (width, narrow), 0)
        self.norm.build((None, narrow))
        self.excite = self._add_normal("excite", (narrow, width), 1)

    def _add_normal(self, name: str, shape: tuple[int, int], nth: int) -> KerasTensor:
        seed = None if self.seed is None else self.seed + nth
        return self.add_weight(shape=shape, initializer=keras.initializers.HeNormal(seed), name=name)

    def call(self, inputs: KerasTensor, training: bool = False) -> KerasTensor:
        """Multiplies each feature by its gate."""
        squeezed = ops.relu(self.norm(ops.matmul(inputs, self.squeeze), training=training))
        return inputs * ops.sigmoid(ops.matmul(squeezed, self.excite))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "reduction": self.reduction, "seed": self.seed}
