"""LSTM and GRU encoders: the video vector is the state of the last recurrent layer after the last frame."""

from typing import Any, Literal

import keras
from keras import KerasTensor, ops


class LSTMCell:
    """One step of a `keras.layers.LSTM` on inputs already multiplied with the input kernel, plus bias."""

    def __init__(self, layer: keras.layers.LSTM) -> None:
        self.weights = layer.cell
        self.state_size = [layer.units, layer.units]
        self.output_size = layer.units
        self.compute_dtype = layer.compute_dtype

    def call(self, inputs: KerasTensor, states: list[KerasTensor]) -> tuple[KerasTensor, list[KerasTensor]]:
        """Equations 7 to 11 of Graves, arXiv 1308.0850, without peepholes."""
        h, c = states
        i, f, g, o = ops.split(inputs + ops.matmul(h, self.weights.recurrent_kernel), 4, axis=1)
        c = ops.sigmoid(f) * c + ops.sigmoid(i) * ops.tanh(g)
        h = ops.sigmoid(o) * ops.tanh(c)
        return h, [h, c]

    __call__ = call


class GRUCell:
    """One step of a `keras.layers.GRU` on inputs already multiplied with the input kernel, plus input bias."""

    def __init__(self, layer: keras.layers.GRU) -> None:
        self.weights = layer.cell
        self.state_size = layer.units
        self.output_size = layer.units
        self.compute_dtype = layer.compute_dtype

    def call(self, inputs: KerasTensor, states: list[KerasTensor]) -> tuple[KerasTensor, list[KerasTensor]]:
        """Equations 5 to 8 of Cho et al., arXiv 1406.1078, the reset gate applied after the product."""
        (h,) = states
        recurrent = ops.matmul(h, self.weights.recurrent_kernel) + ops.convert_to_tensor(self.weights.bias)[1]
        (xz, xr, xh), (hz, hr, hh) = ops.split(inputs, 3, axis=1), ops.split(recurrent, 3, axis=1)
        z = ops.sigmoid(xz + hz)
        h = z * h + (1 - z) * ops.tanh(xh + ops.sigmoid(xr + hr) * hh)
        return h, [h]

    __call__ = call


CELLS = {"lstm": (keras.layers.LSTM, LSTMCell), "gru": (keras.layers.GRU, GRUCell)}


@keras.saving.register_keras_serializable("yt8m")
class RecurrentEncoder(keras.layers.Layer):
    """Reads a video frame by frame; returns the state h of the top layer after the last real frame.

    Sections 3.6.1 and 5.1.2 of the thesis. Weights and initializers are those of `keras.layers.LSTM` and
    `keras.layers.GRU`, which compute the states in training on a GPU, with cuDNN. Elsewhere all frames are multiplied
    with the input kernel at once, before the loop; Keras' own loop does it in every step (benchmarks/encoders.py
    measures it).

    Args:
        cell: type of the layers.
        layers: number of layers; each reads the states of the layer below.
        units: width of each layer's state.
        seed: of the initial weights; None for a random one.

    Call arguments:
        frames: float, [batch, frames, D].
        mask: bool, [batch, frames]; true for real frames, which come first; at least one per video.
        training: selects the implementation on a GPU; the result is the same.

    Returns:
        dtype of the layer, [batch, units].

    Example:
        >>> frames, mask = keras.random.normal((2, 5, 8)), keras.ops.ones((2, 5), "bool")
        >>> RecurrentEncoder("gru", layers=2, units=3)(frames, mask).shape
        TensorShape([2, 3])
    """

    def __init__(
        self, cell: Literal["lstm", "gru"], layers: int, units: int, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.cell = cell
        self.layers = layers
        self.units = units
        self.seed = seed
        self.supports_masking = True
        self.stack = [self._layer(nth) for nth in range(layers)]
        step = CELLS[cell][1]
        self.loops = [
            keras.layers.RNN(step(below), return_sequences=True, dtype=self.dtype_policy) for below in self.stack
        ]

    def _layer(self, nth: int) -> keras.layers.Layer:
        # Seeds must differ: layers after the first have equal shapes and would start with equal weights.
        kernel_seed, recurrent_seed = (None if self.seed is None else self.seed + 2 * nth + i for i in (0, 1))
        return CELLS[self.cell][0](
            self.units,
            kernel_initializer=keras.initializers.GlorotUniform(kernel_seed),
            recurrent_initializer=keras.initializers.Orthogonal(seed=recurrent_seed),
            return_sequences=True,
            dtype=self.dtype_policy,
            name=f"{self.cell}_{nth}",
        )

    def build(self, frames_shape: tuple[int, ...]) -> None:
        """Creates the weights of each layer."""
        width = frames_shape[-1]
        for layer in self.stack:
            layer.build((None, None, width))
            width = self.units

    def call(self, frames: KerasTensor, mask: KerasTensor, training: bool = False) -> KerasTensor:
        """Reads padding too, which comes last and cannot affect the state after the last real frame."""
        # Not in inference: a server without a GPU has no kernel for cuDNN's operation in an exported graph.
        cudnn = training and keras.distribution.list_devices()[0].startswith("gpu")
        for layer, loop in zip(self.stack, self.loops, strict=True):
            if cudnn:
                frames = layer(frames, training=training)
            else:
                bias = ops.convert_to_tensor(layer.cell.bias)
                frames = loop(ops.matmul(frames, layer.cell.kernel) + (bias if self.cell == "lstm" else bias[0]))
        last = ops.sum(ops.cast(mask, "int32"), axis=1) - 1
        return ops.squeeze(ops.take_along_axis(frames, last[:, None, None], axis=1), axis=1)

    def compute_mask(self, frames: KerasTensor, mask: KerasTensor | None = None) -> None:
        """None: a pooled video has no frames."""

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        config = {"cell": self.cell, "layers": self.layers, "units": self.units, "seed": self.seed}
        return {**super().get_config(), **config}
