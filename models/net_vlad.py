"""NetVLAD: how far a video's frames lie, on the whole, from each of a set of learnt cluster centres."""

from typing import Any

import keras
from keras import KerasTensor, ops

from models.normalization import l2_normalize


@keras.saving.register_keras_serializable("yt8m")
class NetVLAD(keras.layers.Layer):
    """Pools frames x into V[d,k] = sum_f a_k(x_f) (x_f[d] - c[d,k]), a = softmax(x W + b), and projects V.

    Equations 15 and 16 of the thesis, section 3.8.2; Arandjelovic et al., arXiv 1511.07247. Each cluster's column of V
    is scaled to length 1, then the whole of V, then a matrix without bias projects it. Padding never counts: neither in
    the sums, nor in the moments of the batch normalization. W and c start as N(0, 1/sqrt(D)), the projection as
    N(0, 1/sqrt(K)).

    Args:
        clusters: K.
        hidden_size: width of the projection.
        batch_norm: a = softmax(BN(x W)) instead of softmax(x W + b).
        seed: of the initial weights; None draws one.

    Call arguments:
        frames: float, [batch, frames, D].
        mask: bool, [batch, frames]; true for real frames.
        training: whether the batch normalization uses the batch's own moments.

    Returns:
        dtype of the layer, [batch, hidden_size].
    """

    def __init__(
        self, clusters: int, hidden_size: int, batch_norm: bool = False, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.clusters = clusters
        self.hidden_size = hidden_size
        self.batch_norm = batch_norm
        self.seed = seed
        self.supports_masking = True
        self.norm = keras.layers.BatchNormalization(dtype=self.dtype_policy, name="norm") if batch_norm else None

    def build(self, frames_shape: tuple[int, ...]) -> None:
        """Creates W, b or the batch normalization, c and the projection."""
        width, clusters = frames_shape[-1], self.clusters
        self.assignment = self._add_normal("assignment", (width, clusters), width, 0)
        if self.norm is None:
            self.bias = self.add_weight(shape=(clusters,), initializer="zeros", name="bias")
        else:
            self.norm.build((None, None, clusters))
        # Not cast to half precision: centres are multiplied with sums over up to 300 frames.
        self.centres = self._add_normal("centres", (width, clusters), width, 1, autocast=False)
        self.projection = self._add_normal("projection", (width * clusters, self.hidden_size), clusters, 2)

    def _add_normal(self, name: str, shape: tuple[int, int], n: int, nth: int, autocast: bool = True) -> Any:
        # Seeds must differ: W and c have the same shape and would start equal.
        seed = None if self.seed is None else self.seed + nth
        normal = keras.initializers.RandomNormal(stddev=n**-0.5, seed=seed)
        return self.add_weight(shape=shape, initializer=normal, autocast=autocast, name=name)

    def call(self, frames: KerasTensor, mask: KerasTensor, training: bool = False) -> KerasTensor:
        """Pools the real frames of each video."""
        logits = ops.matmul(frames, self.assignment)
        logits = logits + self.bias if self.norm is None else self.norm(logits, mask=mask, training=training)
        # Half precision for the two large products only; what they are made of is summed in at least float32.
        precise = self.variable_dtype
        shares = ops.softmax(ops.cast(logits, precise)) * ops.cast(mask, precise)[..., None]
        weighted = ops.einsum("bfd,bfk->bdk", frames, ops.cast(shares, self.compute_dtype))
        residuals = ops.cast(weighted, precise) - ops.sum(shares, axis=1)[:, None, :] * self.centres
        clusters = l2_normalize(residuals, axis=1)
        video = l2_normalize(ops.reshape(clusters, (-1, self.projection.shape[0])))
        return ops.matmul(ops.cast(video, self.compute_dtype), self.projection)

    def compute_mask(self, frames: KerasTensor, mask: KerasTensor | None = None) -> None:
        """A pooled video has no frames left to mask."""

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        config = {"clusters": self.clusters, "hidden_size": self.hidden_size, "batch_norm": self.batch_norm}
        return {**super().get_config(), **config, "seed": self.seed}
