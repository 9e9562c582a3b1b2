"""The best segments of each label are those of a full sort, in bounded memory."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.prediction import best_segments
from pipeline.prediction.best_segments import BestSegments

LABELS = 4


def by_sort(names, scores, most):
    """The names of the best segments of each label."""
    orders = [np.argsort(-scores[:, label], kind="stable")[:most].tolist() for label in range(scores.shape[1])]
    return [[names[place] for place in order] for order in orders]


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32), videos=st.integers(0, 60), most=st.sampled_from([1, 5, 40]), levels=st.integers(1, 500)
)
def test_they_are_those_of_a_full_sort_ties_in_order_of_the_videos(seed, videos, most, levels):
    rng = np.random.default_rng(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(best_segments, "_FEWEST_NAMES", 100)
        best, names, rows = BestSegments(LABELS, most), [], [np.zeros((0, LABELS), np.float32)]
        for video in range(videos):
            starts = list(range(0, 5 * int(rng.integers(1, 61)), 5))
            scores = (rng.integers(0, levels, (len(starts), LABELS)) / levels).astype(np.float32)
            best.add(b"%d" % video, starts, scores)
            names += [(b"%d" % video, start) for start in starts]
            rows.append(scores)
    assert [list(best.of(label)) for label in range(LABELS)] == by_sort(names, np.concatenate(rows), most)


def test_a_nan_is_not_ranked():
    best = BestSegments(1)
    best.add(b"a", [0, 5], np.array([[np.nan], [0.0]], np.float32))
    assert list(best.of(0)) == [(b"a", 5)]


def test_memory_does_not_grow_with_the_segments(monkeypatch):
    monkeypatch.setattr(best_segments, "_FEWEST_NAMES", 10_000)
    rng, best = np.random.default_rng(0), BestSegments(3, most=1000)
    starts, peaks = list(range(0, 300, 5)), []
    tracemalloc.start()
    for part in range(4):
        for video in range(500):
            best.add(b"%d-%d" % (part, video), starts, rng.random((60, 3), np.float32))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.reset_peak()
    tracemalloc.stop()
    assert max(peaks[2:]) < 1.1 * max(peaks[:2])
