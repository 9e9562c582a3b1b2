"""Decoding of packed records."""

import numpy as np
import tensorflow as tf

from models.input.decoding import multi_hot, packed_frames


def test_packed_frames_are_decoded_and_padded_with_zero_bytes():
    generator = np.random.default_rng(0)
    videos = [
        (generator.integers(0, 256, (n, 1024), np.uint8), generator.integers(0, 256, (n, 128), np.uint8))
        for n in (1, 300, 7)
    ]
    frames = packed_frames([rgb.tobytes() for rgb, _ in videos], [audio.tobytes() for _, audio in videos]).numpy()
    assert frames.shape == (3, 300, 1152) and frames.dtype == np.uint8
    for row, (rgb, audio) in enumerate(videos):
        assert np.array_equal(frames[row, : len(rgb)], np.concatenate([rgb, audio], 1))
        assert not frames[row, len(rgb) :].any()


def test_longer_videos_are_truncated():
    frames = packed_frames([bytes(range(4)) * 256 * 5], [bytes(128 * 5)], 2)
    assert frames.shape == (1, 2, 1152)


def test_an_id_listed_twice_is_one_label():
    ids = tf.SparseTensor([[0, 0], [0, 1], [2, 0], [2, 1]], tf.constant([1, 3, 0, 0], tf.int64), [3, 2])
    assert np.array_equal(multi_hot(ids, 4), [[0, 1, 0, 1], [0, 0, 0, 0], [1, 0, 0, 0]])
