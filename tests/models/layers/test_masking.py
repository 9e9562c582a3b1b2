"""Reductions over the real frames of padded batches."""

from collections.abc import Callable

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.layers.masking import frame_mask, masked_max, masked_mean

# Whole sixteenths: sums are exact in float32 in any order, so nothing but the padding could change a result.
videos = st.lists(
    st.integers(1, 6).flatmap(lambda n: arrays(np.int8, (n, 3)).map(lambda a: (a / 16).astype(np.float32))),
    min_size=1,
    max_size=4,
)


def test_the_first_frames_of_each_video_are_the_real_ones() -> None:
    mask = frame_mask(np.array([0, 2, 3, 9]), np.zeros((4, 3, 5), np.uint8))
    expected = [[False] * 3, [True, True, False], [True] * 3, [True] * 3]
    np.testing.assert_array_equal(mask, expected, strict=True)


@pytest.mark.parametrize(("reduce", "definition"), [(masked_mean, np.mean), (masked_max, np.max)])
@given(videos=videos, padding=st.integers(0, 4), filler=st.sampled_from([0.0, -1.99, 1e6]))
def test_only_real_frames_count(
    reduce: Callable, definition: Callable, videos: list[np.ndarray], padding: int, filler: float
) -> None:
    lengths = np.array([len(video) for video in videos])
    batch = np.full((len(videos), lengths.max() + padding, 3), filler, np.float32)
    for row, video in zip(batch, videos, strict=True):
        row[: len(video)] = video
    expected = [definition(video.astype(np.float64), axis=0) for video in videos]
    np.testing.assert_allclose(reduce(batch, frame_mask(lengths, batch)), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("reduce", [masked_mean, masked_max])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_the_reduced_video_has_the_precision_of_the_frames(reduce: Callable, dtype: str) -> None:
    frames = keras.ops.ones((1, 4, 2), dtype)
    assert keras.backend.standardize_dtype(reduce(frames, frame_mask(np.array([3]), frames)).dtype) == dtype


def test_frames_are_counted_exactly_in_half_precision() -> None:
    # bfloat16 would count 256 frames and find a mean of 1.
    frames = np.ones((1, 257, 1))
    frames[0, 0] = 0
    mean = masked_mean(keras.ops.cast(frames, "bfloat16"), np.ones((1, 257), bool))
    assert float(mean[0, 0]) == 255 / 256  # of the numbers bfloat16 knows, the nearest to 256 / 257
