"""LSTM and GRU encoders: the state of the last recurrent layer after the last frame stands for the video."""

from typing import Any, Literal

import keras
from keras import KerasTensor, ops


class LSTMCell:
    """One step of a `keras.layers.LSTM`, of whose weights the input kernel and the bias are already applied."""

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
    """One step of a `keras.layers.GRU`, of whose weights the input kernel and the input bias are already applied."""

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
    """Reads a video frame by frame and gives the state h of the top layer after the last real frame.

    Section 5.1.2 of the thesis. Weights and how they start are those of `keras.layers.LSTM` and `keras.layers.GRU`,
    which compute the states where a GPU trains: with cuDNN. Elsewhere the same function multiplies all frames with
    the input kernel at once, before the loop; Keras' loop does it in every step (benchmarks/encoders.py).

    Args:
        cell: of the layers.
        layers: how many; each reads the states of the one below.
        units: width of each layer's state.
        seed: of the initial weights; None draws one.

    Call arguments:
        frames: float, [batch, frames, D].
        mask: bool, [batch, frames]; true for real frames, which come first. At least one a video.
        training: chooses how to compute on a GPU; the function is the same.

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
        # Seeds must differ: the layers from the second on have the same shapes and would start equal.
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
        """Runs over the padding too, which comes last and cannot reach the state after the last real frame."""
        # Not in inference: a graph exported with cuDNN's operation has no kernel for it on a server without GPU.
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
        """A pooled video has no frames left to mask."""

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        config = {"cell": self.cell, "layers": self.layers, "units": self.units, "seed": self.seed}
        return {**super().get_config(), **config}
