"""NetFV: how far a video's frames lie from learnt cluster centres, and how much they spread around them."""

import math

import keras
from keras import KerasTensor, ops

from models.encoders.cluster_pooling import ClusterPooling, normalize_residuals

# The smallest deviation of a cluster, so that no quotient overflows.
SMALLEST_SIGMA = 1e-3


@keras.saving.register_keras_serializable("yt8m")
class NetFV(ClusterPooling):
    """Pools frames x into a Fisher vector, with shares a from `SoftAssignment`, and projects it.

    With z = (x_f[d] - c[d,k]) / sigma[d,k]: FV1[d,k] = sum_f a_k(x_f) z, FV2[d,k] = sum_f a_k(x_f) (z^2 - 1).
    Equation 20 of the thesis, section 3.8.4; Miech et al., arXiv 1706.06905. Each cluster's column of FV1 is scaled to
    length 1, then the whole of FV1; FV2 likewise. sigma = softplus(rho) + 0.001 starts as 1, c as N(0, 1/sqrt(D)).
    Arguments: see `ClusterPooling`.

    Example:
        >>> frames, mask = keras.random.normal((2, 5, 8)), keras.ops.ones((2, 5), "bool")
        >>> NetFV(clusters=4, hidden_size=6)(frames, mask).shape
        TensorShape([2, 6])
    """

    def build(self, frames_shape: tuple[int, ...]) -> None:
        """Creates W, b or the batch normalization, c, rho and the projection."""
        width = frames_shape[-1]
        self.centres = self._add_centres(width)
        start = keras.initializers.Constant(math.log(math.expm1(1 - SMALLEST_SIGMA)))
        shape = (width, self.clusters)
        self.rho = self.add_weight(shape=shape, initializer=start, autocast=False, name="rho")
        self._build_sublayers(frames_shape, 2 * width * self.clusters)

    def pool(self, frames: KerasTensor, shares: KerasTensor) -> KerasTensor:
        """The normalized FV1 and FV2, float32 [batch, 2 * D * K]."""
        # FV2 is a small difference of large sums: float32 under every policy.
        frames = ops.cast(frames, shares.dtype)
        count = ops.sum(shares, axis=1)[:, None, :]
        first = ops.matmul(ops.transpose(frames, (0, 2, 1)), shares)
        second = ops.matmul(ops.transpose(ops.square(frames), (0, 2, 1)), shares)
        precision = 1 / (ops.softplus(self.rho) + SMALLEST_SIGMA)
        residual = first - self.centres * count
        # sum a (x - c)^2 = sum a x^2 - 2 c sum a x + c^2 sum a
        spread = second - self.centres * (first + residual)
        means = normalize_residuals(residual * precision)
        deviations = normalize_residuals(spread * ops.square(precision) - count)
        return ops.concatenate([means, deviations], axis=-1)
