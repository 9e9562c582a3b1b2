"""The base of DBoF, NetVLAD and NetFV: soft assignment before the sums over frames, a projection after them."""

from abc import abstractmethod
from typing import Any

import keras
from keras import KerasTensor, ops

from models.encoders.soft_assignment import SoftAssignment
from models.layers.normalization import SHORTEST


class ClusterPooling(keras.layers.Layer):
    """Assigns frames to clusters, pools them (the subclass' `pool`) and multiplies the result with a matrix.

    Section 3.8 of the thesis and Miech et al., arXiv 1706.06905, section 3. The projection starts as N(0, 1/sqrt(K))
    and has no bias. Under a half-precision policy only the products with W and with the projection are in half
    precision; shares and sums over frames are float32.

    Args:
        clusters: number of clusters, K below.
        hidden_size: width of the projection.
        batch_norm: of the soft assignment.
        seed: of the initial weights; None for a random one.

    Call arguments:
        frames: float, [batch, frames, D].
        mask: bool, [batch, frames]; true for real frames. Padding never changes the result, not even in training.
        training: whether batch normalization uses the moments of the batch.

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
        self.assignment = SoftAssignment(clusters, batch_norm, seed, dtype=self.dtype_policy, name="assignment")
        self.projection = keras.layers.Dense(
            hidden_size,
            use_bias=False,
            kernel_initializer=self._normal(clusters, 2),
            dtype=self.dtype_policy,
            name="projection",
        )

    def _normal(self, n: int, nth: int) -> keras.initializers.Initializer:
        # Seeds must differ (the soft assignment's is the 0th): W and the centres have the same shape.
        seed = None if self.seed is None else self.seed + nth
        return keras.initializers.RandomNormal(stddev=n**-0.5, seed=seed)

    def _add_centres(self, width: int) -> KerasTensor:
        # Kept in float32: centres are multiplied with sums over up to 300 frames.
        shape, normal = (width, self.clusters), self._normal(width, 1)
        return self.add_weight(shape=shape, initializer=normal, autocast=False, name="centres")

    def _build_sublayers(self, frames_shape: tuple[int, ...], pooled_width: int) -> None:
        self.assignment.build(frames_shape)
        self.projection.build((None, pooled_width))

    def call(self, frames: KerasTensor, mask: KerasTensor, training: bool = False) -> KerasTensor:
        """Pools the real frames of each video."""
        return self.projection(self.pool(frames, self.assignment(frames, mask, training=training)))

    @abstractmethod
    def pool(self, frames: KerasTensor, shares: KerasTensor) -> KerasTensor:
        """One vector a video, float32 [batch, width], from frames [batch, frames, D] and shares [batch, frames, K]."""

    def compute_mask(self, frames: KerasTensor, mask: KerasTensor | None = None) -> None:
        """None: a pooled video has no frames."""

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        config = {"clusters": self.clusters, "hidden_size": self.hidden_size, "batch_norm": self.batch_norm}
        return {**super().get_config(), **config, "seed": self.seed}


def normalize_residuals(residuals: KerasTensor) -> KerasTensor:
    """Scales each cluster's residual to length 1, then all of them together; zero stays zero.

    The normalization of NetVLAD: section 3.8.2 of the thesis. Equals `l2_normalize` twice, but reads and writes the
    residuals once: the second lengths follow from the first.

    Args:
        residuals: float32, [batch, D, clusters].

    Returns:
        float32, [batch, D * clusters].

    Example:
        >>> ops.norm(normalize_residuals(ops.ones((1, 8, 4))), axis=-1).numpy().round(4).tolist()
        [1.0]
    """
    squared_length = ops.sum(ops.square(residuals), axis=1)
    scale = ops.rsqrt(ops.maximum(squared_length, SHORTEST**2))
    squared_total = ops.sum(squared_length * ops.square(scale), axis=-1, keepdims=True)
    scale = scale * ops.rsqrt(ops.maximum(squared_total, SHORTEST**2))
    return ops.reshape(residuals * scale[:, None, :], (-1, residuals.shape[1] * residuals.shape[2]))
