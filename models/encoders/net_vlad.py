"""NetVLAD: the summed differences between a video's frames and learnt cluster centres."""

import keras
from keras import KerasTensor, ops

from models.encoders.cluster_pooling import ClusterPooling, normalize_residuals


@keras.saving.register_keras_serializable("yt8m")
class NetVLAD(ClusterPooling):
    """Pools frames x into V[d,k] = sum_f a_k(x_f) (x_f[d] - c[d,k]), with a from `SoftAssignment`, and projects V.

    Equations 15 and 16 of the thesis, section 3.8.2; Arandjelovic et al., arXiv 1511.07247. Each cluster's column of V
    is scaled to length 1, then the whole of V. c starts as N(0, 1/sqrt(D)). Arguments: see `ClusterPooling`.

    Example:
        >>> frames, mask = keras.random.normal((2, 5, 8)), keras.ops.ones((2, 5), "bool")
        >>> NetVLAD(clusters=4, hidden_size=6)(frames, mask).shape
        TensorShape([2, 6])
    """

    def build(self, frames_shape: tuple[int, ...]) -> None:
        """Creates W, b or the batch normalization, c and the projection."""
        width = frames_shape[-1]
        self.centres = self._add_centres(width)
        self._build_sublayers(frames_shape, width * self.clusters)

    def pool(self, frames: KerasTensor, shares: KerasTensor) -> KerasTensor:
        """The normalized V, float32 [batch, D * K]."""
        # Half precision for the large product only; its result is summed in at least float32.
        weighted = ops.matmul(ops.transpose(frames, (0, 2, 1)), ops.cast(shares, self.compute_dtype))
        residuals = ops.cast(weighted, shares.dtype) - ops.sum(shares, axis=1)[:, None, :] * self.centres
        return normalize_residuals(residuals)
