"""The transformer encoder: frames attend to one another, then their maximum is taken."""

from typing import Any

import keras
from keras import KerasTensor, ops

from models.features import MAX_FRAMES
from models.layers.masking import masked_max

# Replaces the scores of padded frames: its exp is 0, and real scores are far above.
NEVER = -1e9


class SelfAttention(keras.layers.Layer):
    """sum_h softmax(Q_h K_h' / sqrt(key_dim)) V_h Wo_h + bo, where Q_h = x Wq_h + bq_h, and K_h and V_h likewise.

    Equations 13 and 14 of the thesis, section 3.7; section 3.2 of Vaswani et al., arXiv 1706.03762. Weights, their
    order and initializers are those of `keras.layers.MultiHeadAttention`, except that with a seed that layer starts
    with equal query, key and value.

    In training, wide heads are computed through products of weights, with the same result: Q_h K_h' =
    x (Wq_h Wk_h') x' + ... and V_h Wo_h = x (Wv_h Wo_h) + ... This leaves two of four large products a head
    (benchmarks/encoders.py measures it).

    Args:
        heads: number of attention heads.
        key_dim: width of a head's queries, keys and values.
        seed: of the initial weights; None for a random one.

    Call arguments:
        frames: float, [batch, frames, D].
        positions: float, [frames, D], or None; x = frames + positions.
        mask: bool, [batch, frames]; true for frames to attend to.
        training: selects the implementation; the result is the same.

    Returns:
        dtype of the layer, [batch, frames, D].

    Example:
        >>> frames, mask = keras.random.normal((2, 5, 8)), keras.ops.ones((2, 5), "bool")
        >>> SelfAttention(heads=2, key_dim=3)(frames, None, mask).shape
        TensorShape([2, 5, 8])
    """

    def __init__(self, heads: int, key_dim: int, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.heads = heads
        self.key_dim = key_dim
        self.seed = seed

    def build(self, frames_shape: tuple[int, ...]) -> None:
        """Creates Wq, bq, Wk, bk, Wv, bv, Wo and bo."""
        self.width = frames_shape[-1]
        head = (self.heads, self.key_dim)
        self.query, self.query_bias = self._add_linear("query", (self.width, *head), head, 0)
        self.key, self.key_bias = self._add_linear("key", (self.width, *head), head, 1)
        self.value, self.value_bias = self._add_linear("value", (self.width, *head), head, 2)
        self.output_kernel, self.output_bias = self._add_linear("output", (*head, self.width), (self.width,), 3)

    def _add_linear(self, name: str, shape: tuple[int, ...], bias_shape: tuple[int, ...], nth: int) -> tuple[Any, Any]:
        # Glorot's uniform for the matrix of all heads; Keras' takes a kernel with three axes for a convolution.
        limit = (6 / (self.width + self.heads * self.key_dim)) ** 0.5
        glorot = keras.initializers.RandomUniform(-limit, limit, None if self.seed is None else self.seed + nth)
        kernel = self.add_weight(shape=shape, initializer=glorot, name=name)
        return kernel, self.add_weight(shape=bias_shape, initializer="zeros", name=f"{name}_bias")

    def call(
        self, frames: KerasTensor, positions: KerasTensor | None, mask: KerasTensor, training: bool = False
    ) -> KerasTensor:
        """Lets each frame attend to the real frames."""
        x = frames if positions is None else frames + positions
        if not training:
            frames, positions = x, None
        multiplied = training and self._multiplying_weights_pays(frames.shape)

        if multiplied:
            kernels = ops.einsum("dhk,ehk->dhe", self.query, self.key)
            queries = _linear(frames, positions, kernels) + ops.einsum("hk,ehk->he", self.query_bias, self.key)
            # Constant along the softmax axis, so without effect; kept so that bk has a gradient (about 0), as in Keras.
            constant = ops.einsum("bfd,dh->bfh", x, ops.einsum("dhk,hk->dh", self.query, self.key_bias))
            scores = ops.einsum("bfhe,bte->bfht", queries, x) + constant[..., None]
        else:
            queries = _linear(frames, positions, self.query) + self.query_bias
            keys = _linear(frames, positions, self.key) + self.key_bias
            scores = ops.einsum("bfhk,bthk->bhft", queries, keys)

        # Half precision for the large products only.
        scores = ops.cast(scores, self.variable_dtype) * self.key_dim**-0.5
        shares = ops.softmax(ops.where(mask[:, None, None, :], scores, NEVER))
        shares = ops.cast(shares, self.compute_dtype)

        if multiplied:
            kernels = ops.einsum("dhk,hke->dhe", self.value, self.output_kernel)
            attended = ops.einsum("bfht,bthe->bfe", shares, _linear(frames, positions, kernels))
            # A head's shares sum to 1, so its value bias is added as it is.
            return attended + ops.einsum("hk,hke->e", self.value_bias, self.output_kernel) + self.output_bias
        values = _linear(frames, positions, self.value) + self.value_bias
        attended = ops.einsum("bhft,bthk->bfhk", shares, values)
        return ops.einsum("bfhk,hke->bfe", attended, self.output_kernel) + self.output_bias

    def _multiplying_weights_pays(self, shape: tuple[int | None, ...]) -> bool:
        # Multiplications a head, forward and backward, without a gradient for frames: with products of weights 4 D^2
        # a frame and 6 D^2 key_dim a batch; without, 9 D key_dim a frame. A batch of unknown size counts as large.
        saved = 9 * self.key_dim - 4 * self.width
        videos, length = shape[0], shape[1]
        frames = float("inf") if videos is None or length is None else videos * length
        return frames * saved > 6 * self.width * self.key_dim


def _linear(frames: KerasTensor, positions: KerasTensor | None, kernels: KerasTensor) -> KerasTensor:
    """(frames + positions) W_h for all heads h."""
    if positions is None:
        return ops.einsum("bfd,dhe->bfhe", frames, kernels)
    # The second product is 0 and exists for its gradient, which is summed over the videos before the multiplication
    # with W_h. Input frames need no gradient, which saves a third of the work of the forward and backward passes.
    held = ops.stop_gradient(positions)
    product = ops.einsum("bfd,dhe->bfhe", frames + held, kernels)
    return product + ops.einsum("fd,dhe->fhe", positions - held, ops.stop_gradient(ops.convert_to_tensor(kernels)))


class TransformerBlock(keras.layers.Layer):
    """y = LN(x + attention(x)); LN(y + W2 relu(W1 y + b1) + b2): section 3.1 of arXiv 1706.03762, without dropout.

    Args:
        heads: number of attention heads.
        dense_units: width of W1 y.
        key_dim: width of a head's queries, keys and values.
        seed: of the initial weights; None for a random one.

    Call arguments:
        frames, positions, mask, training: see `SelfAttention`.

    Returns:
        dtype of the layer, shape of `frames`.

    Example:
        >>> frames, mask = keras.random.normal((2, 5, 8)), keras.ops.ones((2, 5), "bool")
        >>> TransformerBlock(heads=2, dense_units=7, key_dim=3)(frames, None, mask).shape
        TensorShape([2, 5, 8])
    """

    def __init__(self, heads: int, dense_units: int, key_dim: int, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dense_units = dense_units
        self.seeds = [None if seed is None else seed + nth for nth in (4, 5)]
        self.attention = SelfAttention(heads, key_dim, seed, dtype=self.dtype_policy, name="attention")
        self.attention_norm = keras.layers.LayerNormalization(dtype=self.dtype_policy, name="attention_norm")
        self.output_norm = keras.layers.LayerNormalization(dtype=self.dtype_policy, name="output_norm")

    def build(self, frames_shape: tuple[int, ...]) -> None:
        """Creates the weights of the attention, W1, b1, W2, b2 and the scales and shifts of LN."""
        width = frames_shape[-1]
        self.hidden = self._dense(self.dense_units, "relu", self.seeds[0], "hidden")
        self.output_dense = self._dense(width, None, self.seeds[1], "output")
        for layer in (self.attention, self.attention_norm, self.hidden, self.output_norm):
            layer.build(frames_shape)
        self.output_dense.build((None, None, self.dense_units))

    def _dense(self, units: int, activation: str | None, seed: int | None, name: str) -> keras.layers.Layer:
        glorot = keras.initializers.GlorotUniform(seed)
        return keras.layers.Dense(units, activation, kernel_initializer=glorot, dtype=self.dtype_policy, name=name)

    def call(
        self, frames: KerasTensor, positions: KerasTensor | None, mask: KerasTensor, training: bool = False
    ) -> KerasTensor:
        """Transforms every frame; padded frames do not affect real ones."""
        x = frames if positions is None else frames + positions
        y = self.attention_norm(x + self.attention(frames, positions, mask, training=training))
        return self.output_norm(y + self.output_dense(self.hidden(y)))


@keras.saving.register_keras_serializable("yt8m")
class Transformer(keras.layers.Layer):
    """Adds a learnt position to each frame, applies transformer blocks, and takes the maximum over the real frames.

    Sections 3.7 and 5.1.2 of the thesis (the caller adds its dropout after the maximum); the encoder's blocks of
    Vaswani et al., arXiv 1706.03762.

    Args:
        heads: number of attention heads.
        dense_units: width of the dense layer inside each block.
        layers: number of blocks.
        key_dim: width of a head; None for the width of the frames.
        max_frames: length of the longest video, padding included.
        seed: of the initial weights; None for a random one.

    Call arguments:
        frames: float, [batch, frames, D]; at most `max_frames` frames.
        mask: bool, [batch, frames]; true for real frames, at least one per video.
        training: selects the implementation; the result is the same.

    Returns:
        dtype of the layer, [batch, D].

    Raises:
        ValueError: there are more than `max_frames` frames.

    Example:
        >>> frames, mask = keras.random.normal((2, 5, 8)), keras.ops.ones((2, 5), "bool")
        >>> Transformer(heads=2, dense_units=7)(frames, mask).shape
        TensorShape([2, 8])
    """

    def __init__(
        self,
        heads: int,
        dense_units: int,
        layers: int = 1,
        key_dim: int | None = None,
        max_frames: int = MAX_FRAMES,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.heads = heads
        self.dense_units = dense_units
        self.layers = layers
        self.key_dim = key_dim
        self.max_frames = max_frames
        self.seed = seed
        self.supports_masking = True

    def build(self, frames_shape: tuple[int, ...]) -> None:
        """Creates the positions and the blocks."""
        width = frames_shape[-1]
        # The initializer of keras.layers.Embedding.
        uniform = keras.initializers.RandomUniform(-0.05, 0.05, self.seed)
        self.positions = self.add_weight(shape=(self.max_frames, width), initializer=uniform, name="positions")
        self.blocks = []
        for nth in range(self.layers):
            # Each block uses six seeds, which must differ: blocks have equal shapes and would start with equal weights.
            seed = None if self.seed is None else self.seed + 1 + 6 * nth
            sizes = (self.heads, self.dense_units, self.key_dim or width)
            self.blocks.append(TransformerBlock(*sizes, seed, dtype=self.dtype_policy, name=f"block_{nth}"))
            self.blocks[-1].build(frames_shape)

    def call(self, frames: KerasTensor, mask: KerasTensor, training: bool = False) -> KerasTensor:
        """Pools the real frames of each video."""
        if frames.shape[1] is not None and frames.shape[1] > self.max_frames:
            raise ValueError(f"{self.name}: {frames.shape[1]} frames a video, at most {self.max_frames} (max_frames)")
        positions = ops.convert_to_tensor(self.positions)[: ops.shape(frames)[1]]
        for block in self.blocks:
            frames, positions = block(frames, positions, mask, training=training), None
        return masked_max(frames, mask)

    def compute_mask(self, frames: KerasTensor, mask: KerasTensor | None = None) -> None:
        """None: a pooled video has no frames."""

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        sizes = {"heads": self.heads, "dense_units": self.dense_units, "layers": self.layers, "key_dim": self.key_dim}
        return {**super().get_config(), **sizes, "max_frames": self.max_frames, "seed": self.seed}
