"""The mean of a video's frames, computed from their codes."""

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from models.encoders.average import mean_of_frames

LENGTHS = np.array([300, 1, 227], np.int32)
CODES = np.random.default_rng(0).integers(0, 256, (3, 300, 1152), np.uint8)


def by_definition(codes: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    values = codes.astype(np.float64) * 4 / 255 + 4 / 512 - 2
    return np.stack([video[:length].mean(axis=0) for video, length in zip(values, lengths, strict=True)])


def test_it_is_the_mean_of_the_dequantized_real_frames() -> None:
    mean = mean_of_frames(CODES, LENGTHS)
    assert mean.dtype == tf.float32
    np.testing.assert_allclose(mean, by_definition(CODES, LENGTHS), rtol=0, atol=3e-7)


@given(length=st.integers(1, 300), padded_to=st.integers(1, 320), filler=st.integers(0, 255))
def test_padding_and_batching_do_not_change_a_bit(length: int, padded_to: int, filler: int) -> None:
    batch = np.full((2, max(length, padded_to), 1152), filler, np.uint8)
    batch[0, :length] = CODES[0, :length]
    mean = mean_of_frames(batch, np.array([length, batch.shape[1]]))
    np.testing.assert_array_equal(mean[:1], mean_of_frames(CODES[:1, :length], np.array([length])))


def in_a_plain_graph(codes: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        fed = tf.compat.v1.placeholder(tf.uint8, [None, None, 1152])
        fed_lengths = tf.compat.v1.placeholder(tf.int64, [None])
        return session.run(mean_of_frames(fed, fed_lengths), {fed: codes, fed_lengths: lengths})


def in_an_input_pipeline(codes: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    return next(iter(tf.data.Dataset.from_tensors((codes, lengths)).map(mean_of_frames))).numpy()


def compiled_by_xla(codes: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    return tf.function(mean_of_frames, jit_compile=True)(tf.constant(codes), tf.constant(lengths)).numpy()


@pytest.mark.parametrize("run", [in_a_plain_graph, in_an_input_pipeline, compiled_by_xla])
def test_the_mean_is_bit_identical_on_every_backend(run: Callable) -> None:
    np.testing.assert_array_equal(run(CODES, LENGTHS), np.asarray(mean_of_frames(CODES, LENGTHS)), strict=True)


def test_a_graph_takes_an_empty_batch() -> None:
    assert in_a_plain_graph(CODES[:0], LENGTHS[:0]).shape == (0, 1152)
