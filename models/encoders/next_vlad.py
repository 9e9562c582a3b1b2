"""NeXtVLAD: NetVLAD over groups of features, with an attention weight for each group of each frame."""

from typing import Any

import keras
from keras import KerasTensor, ops

from models.layers.normalization import MOMENTUM, l2_normalize


@keras.saving.register_keras_serializable("yt8m")
class NeXtVLAD(keras.layers.Layer):
    """Pools frames x into V[d,k] = sum_{f,g} s_g(x_f) a_gk(x_f) (e_g(x_f)[d] - c[d,k]), and normalizes V.

    Lin et al., arXiv 1811.05014, section 3.2. e(x) = x E + b, in G groups e_g of L = expansion * D / G features;
    attention s = sigmoid(e(x) S + b_s); shares a_g = softmax over k of BN(e(x) W). Each cluster's column of V is scaled
    to length 1, then V is batch-normalized. All matrices start as truncated normals of deviation sqrt(2 / rows).
    Padding counts neither in the sums nor in the moments of the batch normalization.

    Args:
        clusters: number of clusters, K above.
        groups: number of groups, G above; divides expansion * D.
        expansion: how much wider e(x) is than x.
        seed: of the initial weights; None for a random one.

    Call arguments:
        frames: float, [batch, frames, D].
        mask: bool, [batch, frames]; true for real frames.
        training: whether batch normalization uses the moments of the batch.

    Returns:
        dtype of the layer, [batch, L * K].

    Example:
        >>> frames, mask = keras.random.normal((2, 5, 8)), keras.ops.ones((2, 5), "bool")
        >>> NeXtVLAD(clusters=3, groups=4)(frames, mask).shape
        TensorShape([2, 12])
    """

    def __init__(
        self, clusters: int, groups: int = 8, expansion: int = 2, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.clusters = clusters
        self.groups = groups
        self.expansion = expansion
        self.seed = seed
        self.supports_masking = True
        norm = keras.layers.BatchNormalization
        self.norm = norm(momentum=MOMENTUM, dtype=self.variable_dtype, name="norm")
        self.pooled_norm = norm(momentum=MOMENTUM, dtype=self.variable_dtype, name="pooled_norm")

    def build(self, frames_shape: tuple[int, ...]) -> None:
        """Creates E, S, W, their biases, c and both batch normalizations."""
        width = frames_shape[-1]
        expanded, assigned = self.expansion * width, self.groups * self.clusters
        if expanded % self.groups:
            raise ValueError(f"groups is {self.groups}, allowed: divisors of {expanded}")
        self.expand = self._add_normal("expand", (width, expanded), 0)
        self.expand_bias = self.add_weight(shape=(expanded,), initializer="zeros", name="expand_bias")
        self.attention = self._add_normal("attention", (expanded, self.groups), 1)
        self.attention_bias = self.add_weight(shape=(self.groups,), initializer="zeros", name="attention_bias")
        self.assignment = self._add_normal("assignment", (expanded, assigned), 2)
        # Kept in float32: centres are multiplied with sums over up to 300 frames.
        self.centres = self._add_normal("centres", (expanded // self.groups, self.clusters), 3, autocast=False)
        self.norm.build((None, assigned))
        self.pooled_norm.build((None, expanded // self.groups * self.clusters))

    def _add_normal(self, name: str, shape: tuple[int, int], nth: int, autocast: bool = True) -> KerasTensor:
        seed = None if self.seed is None else self.seed + nth
        normal = keras.initializers.HeNormal(seed)
        return self.add_weight(shape=shape, initializer=normal, autocast=autocast, name=name)

    def call(self, frames: KerasTensor, mask: KerasTensor, training: bool = False) -> KerasTensor:
        """Pools the real frames of each video."""
        group_size, clusters = self.centres.shape
        parts = ops.shape(frames)[1] * self.groups
        flat, real = ops.reshape(frames, (-1, frames.shape[-1])), ops.reshape(mask, (-1,))

        expanded = ops.matmul(flat, self.expand) + self.expand_bias
        weights = self._attention(flat) * ops.cast(real, self.variable_dtype)[:, None]
        logits = self.norm(self._through_expansion(flat, self.assignment), mask=real, training=training)
        shares = ops.softmax(ops.reshape(logits, (-1, self.groups, clusters))) * weights[..., None]

        # Half precision for the large products only; their results are summed in at least float32.
        expanded = ops.reshape(expanded, (-1, parts, group_size))
        shares = ops.reshape(shares, (-1, parts, clusters))
        weighted = ops.matmul(ops.transpose(expanded, (0, 2, 1)), ops.cast(shares, self.compute_dtype))
        residuals = ops.cast(weighted, shares.dtype) - ops.sum(shares, axis=1)[:, None, :] * self.centres
        video = ops.reshape(l2_normalize(residuals, axis=1), (-1, group_size * clusters))
        return ops.cast(self.pooled_norm(video, training=training), self.compute_dtype)

    def _attention(self, flat: KerasTensor) -> KerasTensor:
        logits = self._through_expansion(flat, self.attention) + self.attention_bias
        return ops.sigmoid(ops.cast(logits, self.variable_dtype))

    def _through_expansion(self, flat: KerasTensor, kernel: KerasTensor) -> KerasTensor:
        # (x E + b) W as x (E W) + b W halves the work for W and saves a third of the whole training step.
        return ops.matmul(flat, ops.matmul(self.expand, kernel)) + ops.matmul(self.expand_bias[None, :], kernel)[0]

    def compute_mask(self, frames: KerasTensor, mask: KerasTensor | None = None) -> None:
        """None: a pooled video has no frames."""

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        config = {"clusters": self.clusters, "groups": self.groups, "expansion": self.expansion, "seed": self.seed}
        return {**super().get_config(), **config}
