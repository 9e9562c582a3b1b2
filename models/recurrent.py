"""LSTM and GRU encoders: the state of the last recurrent layer after the last frame stands for the video."""

from typing import Any, Literal

import keras
from keras import KerasTensor, ops

CELLS = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU}


@keras.saving.register_keras_serializable("yt8m")
class RecurrentEncoder(keras.layers.Layer):
    """Reads a video frame by frame and gives the state h of the top layer after the last real frame.

    Section 5.1.2 of the thesis. LSTM: Graves, arXiv 1308.0850, without peepholes; GRU: Cho et al., arXiv 1406.1078,
    the reset gate applied after the product, as cuDNN has it. Weights start as Keras' do: input kernels by Glorot,
    recurrent kernels orthogonal, biases 0 but 1 for the LSTM's forget gate.

    Args:
        cell: of the layers.
        layers: how many; each reads the states of the one below.
        units: width of each layer's state.
        seed: of the initial weights; None draws one.

    Call arguments:
        frames: float, [batch, frames, D].
        mask: bool, [batch, frames]; true for real frames, which come first. At least one a video.
        training: taken as by all encoders; changes nothing.

    Returns:
        dtype of the layer, [batch, units].
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

    def _layer(self, nth: int) -> keras.layers.Layer:
        # Seeds must differ: the layers from the second on have the same shapes and would start equal.
        kernel_seed, recurrent_seed = (None if self.seed is None else self.seed + 2 * nth + i for i in (0, 1))
        return CELLS[self.cell](
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
        """Runs over the padding too, which comes last and cannot reach the state after the last real frame.

        Without a mask Keras holds no earlier state at each step, and cuDNN needs no check of the mask.
        """
        for layer in self.stack:
            frames = layer(frames, training=training)
        last = ops.sum(ops.cast(mask, "int32"), axis=1) - 1
        return ops.squeeze(ops.take_along_axis(frames, last[:, None, None], axis=1), axis=1)

    def compute_mask(self, frames: KerasTensor, mask: KerasTensor | None = None) -> None:
        """A pooled video has no frames left to mask."""

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        config = {"cell": self.cell, "layers": self.layers, "units": self.units, "seed": self.seed}
        return {**super().get_config(), **config}
