"""The mixture-of-experts classifier: for each label, logistic experts and a gate that weighs them."""

from typing import Any

import keras
from keras import KerasTensor, ops

# The penalty's weight in the challenges' code, whose loss is the sum of the labels' cross-entropies. Ours is their
# mean, so the penalty is divided by the number of classes too.
L2 = 1e-5


@keras.saving.register_keras_serializable("yt8m")
class MixtureOfExperts(keras.layers.Layer):
    """p_c = sum over m < M of g[c,m] e[c,m]; g = softmax over M + 1 of x U, e = sigmoid(x V + b).

    The mixture of experts of Abu-El-Haija et al., arXiv 1609.08675. The gate's last share goes to no expert, so that a
    label can be improbable whatever its experts predict. U and V have an L2 penalty and start as Glorot's uniform.

    Args:
        classes: number of labels.
        experts: number of experts a label, M above.
        seed: of the initial weights; None for a random one.

    Call arguments:
        inputs: float, [batch, n].

    Returns:
        probabilities, dtype of the layer, [batch, classes].

    Example:
        >>> MixtureOfExperts(classes=3, experts=2)(keras.random.normal((2, 8))).shape
        TensorShape([2, 3])
    """

    def __init__(self, classes: int, experts: int, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.classes = classes
        self.experts = experts
        self.seed = seed

    def build(self, input_shape: tuple[int, ...]) -> None:
        """Creates U, V and b."""
        width = input_shape[-1]
        self.gates = self._add_kernel("gates", (width, self.classes * (self.experts + 1)), 0)
        self.kernel = self._add_kernel("kernel", (width, self.classes * self.experts), 1)
        self.bias = self.add_weight(shape=(self.classes * self.experts,), initializer="zeros", name="bias")

    def _add_kernel(self, name: str, shape: tuple[int, int], nth: int) -> Any:
        glorot = keras.initializers.GlorotUniform(None if self.seed is None else self.seed + nth)
        penalty = keras.regularizers.L2(L2 / self.classes)
        return self.add_weight(shape=shape, initializer=glorot, regularizer=penalty, name=name)

    def call(self, inputs: KerasTensor) -> KerasTensor:
        """Sums the weighted probabilities of the experts."""
        gates = ops.reshape(ops.matmul(inputs, self.gates), (-1, self.classes, self.experts + 1))
        experts = ops.reshape(ops.matmul(inputs, self.kernel) + self.bias, (-1, self.classes, self.experts))
        return ops.sum(ops.softmax(gates)[..., :-1] * ops.sigmoid(experts), axis=-1)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "classes": self.classes, "experts": self.experts, "seed": self.seed}
