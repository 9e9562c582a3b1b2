"""Codes and feature values: the published formula in both directions, with the same bits on every backend."""

from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from models.layers.quantization import dequantize, quantize

CODES = np.arange(256, dtype=np.uint8)
VALUES = CODES.astype(np.float64) * 4 / 255 + 4 / 512 - 2


def test_every_code_has_its_published_value() -> None:
    values = np.asarray(dequantize(CODES))
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, VALUES, rtol=1.2e-7, atol=0)
    assert (VALUES[0], VALUES[255]) == (-1.9921875, 2.0078125)


def in_a_plain_graph(codes: np.ndarray) -> np.ndarray:
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        fed = tf.compat.v1.placeholder(tf.uint8, [None])
        return session.run(dequantize(fed), {fed: codes})


def in_an_input_pipeline(codes: np.ndarray) -> np.ndarray:
    return next(iter(tf.data.Dataset.from_tensors(codes).map(dequantize))).numpy()


def compiled_by_xla(codes: np.ndarray) -> np.ndarray:
    return tf.function(dequantize, jit_compile=True)(tf.constant(codes)).numpy()


def in_a_keras_model(codes: np.ndarray) -> np.ndarray:
    inputs = keras.Input((), dtype="uint8")
    return keras.Model(inputs, dequantize(inputs)).predict(codes, verbose=0)


@pytest.mark.parametrize("run", [in_a_plain_graph, in_an_input_pipeline, compiled_by_xla, in_a_keras_model])
def test_values_are_bit_identical_on_every_backend(run: Callable[[np.ndarray], np.ndarray]) -> None:
    np.testing.assert_array_equal(run(CODES), np.asarray(dequantize(CODES)), strict=True)


def test_codes_survive_a_round_trip() -> None:
    np.testing.assert_array_equal(quantize(np.asarray(dequantize(CODES))), CODES, strict=True)


@given(st.lists(st.floats(-2, 2, width=32), min_size=1))
def test_a_round_trip_raises_values_by_at_most_a_step(values: list[float]) -> None:
    given_values = np.array(values, np.float32)
    change = np.asarray(dequantize(quantize(given_values))) - given_values
    assert change.min() >= -(0.5 * 4 / 255 - 4 / 512) - 1e-6
    assert change.max() <= 0.5 * 4 / 255 + 4 / 512 + 1e-6


@pytest.mark.parametrize(("value", "code"), [(-2.0, 0), (-1e9, 0), (2.0, 255), (np.inf, 255), (0.0, 128), (0.01, 128)])
def test_values_outside_the_range_are_clipped(value: float, code: int) -> None:
    assert quantize(np.array([value])) == code
