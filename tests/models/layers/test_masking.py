"""The real frames of padded batches, and their maximum."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.layers.masking import frame_mask, masked_max

videos = st.lists(
    st.integers(1, 6).flatmap(lambda n: arrays(np.int8, (n, 3)).map(lambda a: (a / 16).astype(np.float32))),
    min_size=1,
    max_size=4,
)


def test_the_first_frames_of_each_video_are_the_real_ones() -> None:
    mask = frame_mask(np.array([0, 2, 3, 9]), np.zeros((4, 3, 5), np.uint8))
    expected = [[False] * 3, [True, True, False], [True] * 3, [True] * 3]
    np.testing.assert_array_equal(mask, expected, strict=True)


@given(videos=videos, padding=st.integers(0, 4), filler=st.sampled_from([0.0, -1.99, 1e6]))
def test_only_real_frames_count(videos: list[np.ndarray], padding: int, filler: float) -> None:
    lengths = np.array([len(video) for video in videos])
    batch = np.full((len(videos), lengths.max() + padding, 3), filler, np.float32)
    for row, video in zip(batch, videos, strict=True):
        row[: len(video)] = video
    expected = [video.max(axis=0) for video in videos]
    np.testing.assert_array_equal(masked_max(batch, frame_mask(lengths, batch)), expected)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_the_maximum_has_the_precision_of_the_frames(dtype: str) -> None:
    frames = keras.ops.ones((1, 4, 2), dtype)
    assert keras.backend.standardize_dtype(masked_max(frames, frame_mask(np.array([3]), frames)).dtype) == dtype
