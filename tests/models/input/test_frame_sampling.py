"""Sampling of frames: which are drawn, and what the draws depend on."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.features import MAX_FRAMES
from models.input.frame_sampling import draw_frames
from models.training_settings import TrainingSettings


def sample(num_frames: Any, method: str, count: int, seed: tuple[int, int] = (0, 0)) -> list[np.ndarray]:
    """The places of each video's sampled frames."""
    recipe = TrainingSettings(frame_sampling=method, sampled_frames=count)
    indices, drawn = draw_frames(np.array(num_frames, np.uint16), np.random.default_rng(seed), recipe)
    assert indices.shape == (len(num_frames), count) and drawn.shape == (len(num_frames),)
    return [places[:used] for places, used in zip(indices, drawn, strict=True)]


lengths = st.lists(st.integers(1, MAX_FRAMES), min_size=1, max_size=4)
counts = st.integers(1, MAX_FRAMES)
seeds = st.tuples(st.integers(0, 2**63 - 1), st.integers(0, 10**6))
check = settings(max_examples=60)


@check
@given(lengths, counts, seeds)
def test_random_draws_the_requested_number_of_real_frames(num_frames: list[int], count: int, seed: Any) -> None:
    for places, n in zip(sample(num_frames, "random", count, seed), num_frames, strict=True):
        assert len(places) == count
        assert places.min() >= 0 and places.max() < n


@check
@given(lengths, counts, seeds)
def test_a_window_is_a_run_of_real_frames(num_frames: list[int], count: int, seed: Any) -> None:
    for places, n in zip(sample(num_frames, "window", count, seed), num_frames, strict=True):
        assert len(places) == min(n, count)
        assert places[-1] < n and np.array_equal(places, places[0] + np.arange(len(places)))


@check
@given(lengths, counts, seeds)
def test_a_stride_covers_the_video_evenly(num_frames: list[int], count: int, seed: Any) -> None:
    for places, n in zip(sample(num_frames, "stride", count, seed), num_frames, strict=True):
        step = int(np.ceil(n / count))
        assert places[0] < step and np.array_equal(places, np.arange(places[0], n, step))


def test_random_draws_are_uniform() -> None:
    places = np.concatenate(sample([7] * 64, "random", 300, seed=(1, 2)))
    expected = len(places) / 7
    # Chi-square with 6 degrees of freedom is above 22.5 once in 1000; the seed is fixed.
    assert np.sum((np.bincount(places, minlength=7) - expected) ** 2 / expected) < 22.5


@pytest.mark.parametrize(
    ("method", "num_frames", "count", "starts"),
    [("window", 9, 4, 6), ("window", 4, 4, 1), ("window", 3, 4, 1), ("stride", 9, 2, 5), ("stride", 300, 100, 3)],
)
def test_every_start_is_equally_likely(method: str, num_frames: int, count: int, starts: int) -> None:
    firsts = [places[0] for places in sample([num_frames] * 600, method, count)]
    numbers = np.bincount(firsts, minlength=starts)
    assert len(numbers) == starts
    # Five standard deviations of a binomial count.
    assert np.abs(numbers - 600 / starts).max() <= 5 * np.sqrt(600 / starts)


@pytest.mark.parametrize("method", ["random", "window", "stride"])
def test_draws_differ_between_videos_epochs_and_batches(method: str) -> None:
    def draws(*seed: int) -> list[list[int]]:
        return [places.tolist() for places in sample([300] * 40, method, 20, seed)]  # type: ignore[arg-type]

    first = draws(5, 0)
    assert first == draws(5, 0)
    assert len({tuple(places) for places in first}) > 10
    for second in (draws(6, 0), draws(5, 1)):
        same = sum(before == after for before, after in zip(first, second, strict=True))
        assert same < 10  # a stride has 15 different draws
