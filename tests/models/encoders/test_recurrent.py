"""LSTM and GRU encoders against their equations and against Keras' masked layers, whatever the padding."""

from collections.abc import Callable
from typing import Any, Literal

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from models.encoders.recurrent import RecurrentEncoder

Cell = Literal["lstm", "gru"]
Videos = list[np.ndarray]
both_cells = pytest.mark.parametrize("cell", ["lstm", "gru"])


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def lstm(video: np.ndarray, kernel: np.ndarray, recurrent: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Equations 7 to 11 of Graves, arXiv 1308.0850, without peepholes; gates in Keras' order."""
    units = recurrent.shape[0]
    h, c, states = np.zeros(units), np.zeros(units), []
    for x in video:
        i, f, g, o = np.split(x @ kernel + h @ recurrent + bias, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        states.append(h)
    return np.stack(states)


def gru(video: np.ndarray, kernel: np.ndarray, recurrent: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Equations 5 to 8 of Cho et al., arXiv 1406.1078, but r multiplies U h + b instead of h; Keras' order."""
    wz, wr, wh = np.split(kernel, 3, axis=1)
    uz, ur, uh = np.split(recurrent, 3, axis=1)
    (bz, br, bh), (cz, cr, ch) = (np.split(row, 3) for row in bias)
    h, states = np.zeros(recurrent.shape[0]), []
    for x in video:
        z = sigmoid(x @ wz + bz + h @ uz + cz)
        r = sigmoid(x @ wr + br + h @ ur + cr)
        h = z * h + (1 - z) * np.tanh(x @ wh + bh + r * (h @ uh + ch))
        states.append(h)
    return np.stack(states)


def by_equations(layer: RecurrentEncoder, videos: Videos) -> np.ndarray:
    weights = [np.asarray(weight, np.float64) for weight in layer.get_weights()]
    states = []
    for video in videos:
        for nth in range(layer.layers):
            video = {"lstm": lstm, "gru": gru}[layer.cell](video, *weights[3 * nth : 3 * nth + 3])
        states.append(video[-1])
    return np.stack(states)


@both_cells
@pytest.mark.parametrize("layers", [1, 2])
def test_it_follows_the_equations(
    cell: Cell, layers: int, videos: Videos, padded_videos: Any, with_random_weights: Any, relative_error: Any
) -> None:
    layer = with_random_weights(RecurrentEncoder(cell, layers, 5))
    for training in (False, True):
        assert relative_error(layer(*padded_videos(), training=training), by_equations(layer, videos)) < 1e-5


@both_cells
def test_its_gradients_are_those_of_finite_differences(
    cell: Cell, padded_videos: Any, with_random_weights: Any, check_gradients: Any
) -> None:
    check_gradients(with_random_weights(RecurrentEncoder(cell, 2, 5, dtype="float64")), *padded_videos())


@both_cells
@pytest.mark.parametrize("training", [False, True])
def test_padding_does_not_change_the_state(
    cell: Cell, training: bool, with_random_weights: Any, check_padding: Any
) -> None:
    check_padding(with_random_weights(RecurrentEncoder(cell, 1, 5)), training)


def slopes_of(states: Callable[..., tf.Tensor], weights: list[Any]) -> Callable[..., list[tf.Tensor]]:
    """The states, and the gradients of their sum with respect to frames and weights, for videos of any length."""

    @tf.function(reduce_retracing=True)
    def slopes(frames: tf.Tensor, mask: tf.Tensor, training: bool) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(frames)
            top = states(frames, mask, training)
            loss = tf.reduce_sum(top * tf.linspace(1.0, 2.0, 6))
        return [top, *tape.gradient(loss, [frames, *(weight.value for weight in weights)])]

    return slopes


@both_cells
def test_it_equals_keras_with_a_mask_for_20_to_300_frames(cell: Cell, relative_error: Any) -> None:
    layer = RecurrentEncoder(cell, 1, 6, seed=1)
    layer.build((None, None, 4))
    masked = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU}[cell](6)
    masked.build((None, None, 4))
    masked.set_weights(layer.get_weights())
    ours = slopes_of(lambda frames, mask, training: layer(frames, mask, training=training), layer.trainable_weights)
    keras_own = slopes_of(
        lambda frames, mask, training: masked(frames, mask=mask, training=training), masked.trainable_weights
    )

    @settings(max_examples=8)
    @given(st.integers(20, 300), st.integers(0, 280), st.floats(-100, 100, width=32), st.booleans())
    def same(length: int, padding: int, filler: float, training: bool) -> None:
        mask = np.arange(length) < np.array([[length], [20], [1]])
        frames = np.random.default_rng(length).normal(size=(*mask.shape, 4)).astype(np.float32)
        more = ((0, 0), (0, min(padding, 300 - length)))
        padded_mask = np.pad(mask, more)
        padded = np.where(padded_mask[..., None], np.pad(frames, (*more, (0, 0))), np.float32(filler))
        state, by_frames, *by_weights = ours(tf.constant(padded), tf.constant(padded_mask), training)
        expected = keras_own(tf.constant(frames), tf.constant(mask), training)
        for value, reference in zip([state, by_frames[:, :length], *by_weights], expected, strict=True):
            assert relative_error(value, reference) < 1e-5
        assert not np.any(by_frames.numpy()[~padded_mask])

    same()


@both_cells
def test_layers_start_with_different_weights(cell: Cell) -> None:
    layer = RecurrentEncoder(cell, 3, 5, seed=1)
    layer.build((None, None, 5))
    starts = [weight.numpy().tobytes() for weight in layer.weights if "kernel" in weight.path]
    assert len(set(starts)) == len(starts) == 6


@both_cells
def test_xla_compiles_it_where_cudnn_is_not_used(
    cell: Cell, padded_videos: Any, with_random_weights: Any, check_compiled: Any
) -> None:
    check_compiled(with_random_weights(RecurrentEncoder(cell, 2, 5)), *padded_videos())


@both_cells
def test_it_follows_the_equations_on_jax(
    cell: Cell, videos: Videos, padded_videos: Any, with_random_weights: Any, relative_error: Any, run_on_jax: Any
) -> None:
    layer = with_random_weights(RecurrentEncoder(cell, 2, 5))
    (states,) = run_on_jax(layer, padded_videos(), [{"training": True}])
    assert relative_error(states, by_equations(layer, videos)) < 1e-5
