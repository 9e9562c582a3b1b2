"""Deep bag of frames: how many of a video's frames belong to each learnt cluster."""

from collections.abc import Callable
from typing import Any

import keras
from keras import KerasTensor, ops

from models.encoders.cluster_pooling import ClusterPooling
from models.layers.normalization import l2_normalize


@keras.saving.register_keras_serializable("yt8m")
class DBoF(ClusterPooling):
    """Pools frames x into h[k] = sum_f a_k(x_f), with a from `SoftAssignment`, scales h to length 1 and projects it.

    Equations 16 and 17 of the thesis, section 3.8.3; Soft-DBoW in Miech et al., arXiv 1706.06905. Other arguments: see
    `ClusterPooling`.

    Args:
        add_max: appends max_f a_k(x_f), scaled to length 1, to h.

    Example:
        >>> frames, mask = keras.random.normal((2, 5, 8)), keras.ops.ones((2, 5), "bool")
        >>> DBoF(clusters=16, hidden_size=4)(frames, mask).shape
        TensorShape([2, 4])
    """

    def __init__(
        self,
        clusters: int,
        hidden_size: int,
        batch_norm: bool = False,
        add_max: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(clusters, hidden_size, batch_norm, seed, **kwargs)
        self.add_max = add_max

    def build(self, frames_shape: tuple[int, ...]) -> None:
        """Creates W, b or the batch normalization, and the projection."""
        self._build_sublayers(frames_shape, self.clusters * (2 if self.add_max else 1))

    def call(self, frames: KerasTensor, mask: KerasTensor, training: bool = False) -> KerasTensor:
        """Pools the real frames of each video."""
        if self.add_max or not training:
            return super().call(frames, mask, training=training)
        logits = self.assignment.logits(frames, mask, training)
        return self.projection(l2_normalize(sum_of_shares(logits, ops.cast(mask, logits.dtype)[..., None])))

    def pool(self, frames: KerasTensor, shares: KerasTensor) -> KerasTensor:
        """The normalized h, float32 [batch, K], or [batch, 2 K] with `add_max`."""
        counts = l2_normalize(ops.sum(shares, axis=1))
        if not self.add_max:
            return counts
        # Real frames have positive shares, padding has 0: the maximum needs no mask.
        return ops.concatenate([counts, l2_normalize(ops.max(shares, axis=1))], axis=-1)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "add_max": self.add_max}


@ops.custom_gradient
def sum_of_shares(logits: KerasTensor, real: KerasTensor) -> tuple[KerasTensor, Callable]:
    """sum_f softmax(logits_f) over real frames, with a faster gradient.

    With shares s, the gradient of sum_f (g s_f) is s (g - s g). Automatic differentiation passes four times as often
    over tensors of the size of the logits, the largest of the model.

    Args:
        logits: float32, [batch, frames, clusters].
        real: float32, [batch, frames, 1]; 1 for real frames, 0 for padding.

    Returns:
        float32, [batch, clusters].
    """
    shares = ops.softmax(logits) * real

    def gradient(upstream: KerasTensor) -> tuple[KerasTensor, KerasTensor]:
        along_shares = ops.matmul(shares, upstream[:, :, None])
        return shares * (upstream[:, None, :] - along_shares), ops.zeros_like(real)

    return ops.sum(shares, axis=1), gradient
