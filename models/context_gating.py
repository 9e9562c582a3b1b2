"""Context gating: a vector re-weighted by gates that it computes from itself."""

from typing import Any

import keras
from keras import KerasTensor, ops


@keras.saving.register_keras_serializable("yt8m")
class ContextGating(keras.layers.Layer):
    """y = x * sigmoid(W x + b): equation 21 of the thesis, section 3.9; Miech et al., arXiv 1706.06905.

    W [n, n] starts as N(0, 1/sqrt(n)), b as 0.

    Args:
        seed: of the initial weights; None draws one.

    Call arguments:
        inputs: float, [batch, n].

    Returns:
        dtype of the layer, [batch, n].
    """

    def __init__(self, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = seed

    def build(self, input_shape: tuple[int, ...]) -> None:
        """Creates W and b."""
        width = input_shape[-1]
        normal = keras.initializers.RandomNormal(stddev=width**-0.5, seed=self.seed)
        self.kernel = self.add_weight(shape=(width, width), initializer=normal, name="kernel")
        self.bias = self.add_weight(shape=(width,), initializer="zeros", name="bias")

    def call(self, inputs: KerasTensor) -> KerasTensor:
        """Multiplies each feature by its gate."""
        return inputs * ops.sigmoid(ops.matmul(inputs, self.kernel) + self.bias)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "seed": self.seed}
