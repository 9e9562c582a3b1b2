"""Ranked hits: exact below their capacity, near above it, whatever the order."""

import tracemalloc
from collections.abc import Callable
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.metrics.ranked_hits import RankedHits


def counted(*parts: tuple[np.ndarray, np.ndarray], capacity: int = 2**20) -> RankedHits:
    ranked = RankedHits(capacity)
    for scores, hits in parts:
        ranked.add(scores, hits)
    return ranked


def test_equal_scores_count_as_in_the_mean_over_all_their_orders() -> None:
    scores, hits = np.array([0.9, 0.5, 0.5, 0.5, 0.5, 0.1]), np.array([0, 1, 0, 1, 0, 1])
    sums = []
    for order in permutations(range(1, 5)):
        ranked = hits[[0, *order, 5]]
        sums.append((np.cumsum(ranked) / np.arange(1, 7) * ranked).sum())
    assert counted((scores, hits)).precision_sums()[0] == pytest.approx(np.mean(sums), abs=1e-12)


@given(
    entries=st.lists(st.tuples(st.integers(0, 1000), st.booleans()), min_size=1, max_size=60),
    cuts=st.lists(st.integers(0, 60), max_size=3),
    shuffle=st.randoms(use_true_random=False),
)
def test_any_order_and_any_sharing_out_gives_the_same_sum(
    sum_of_precisions: Callable, entries: list[tuple[int, bool]], cuts: list[int], shuffle: object
) -> None:
    scores, hits = (np.array(column) for column in zip(*entries, strict=True))
    scores = scores / 1000
    shuffle.shuffle(entries)
    parts = np.split(np.array(entries, float), sorted(min(c, len(entries)) for c in cuts))
    merged = RankedHits()
    for part in parts:
        merged.merge(counted((part[:, 0] / 1000, part[:, 1] > 0)))
    assert merged.precision_sums()[0] == pytest.approx(sum_of_precisions(scores, hits), abs=1e-9)


def test_neighbouring_float32_probabilities_are_told_apart() -> None:
    for p in (1e-12, 1e-5, 0.3, 0.5, 0.75, 0.999, 1 - 2e-6):
        low = np.float32(p)
        high = np.nextafter(low, np.float32(1))
        assert counted((np.array([low, high]), np.array([1, 0]))).precision_sums()[0] == 0.5


def test_groups_are_ranked_each_on_its_own(sum_of_precisions: Callable) -> None:
    rng = np.random.default_rng(0)
    scores, hits, groups = rng.random(500), rng.random(500) < 0.3, rng.integers(0, 7, 500)
    ranked = RankedHits()
    ranked.add(scores, hits, groups)
    expected = [sum_of_precisions(scores[groups == g], hits[groups == g]) for g in range(9)]
    np.testing.assert_allclose(ranked.precision_sums(9), expected, rtol=1e-9)


@pytest.mark.parametrize("scale", [1.0, 1e-5])
def test_above_its_capacity_it_takes_no_more_memory_and_stays_near(sum_of_precisions: Callable, scale: float) -> None:
    rng = np.random.default_rng(1)
    hits = rng.random(400_000) < 0.3
    scores = (scale / (1 + np.exp(-rng.normal(-2, 2, hits.size) - 2 * hits))).astype(np.float32)
    halves = [counted(part, capacity=49_152) for part in zip(np.split(scores, 2), np.split(hits, 2), strict=True)]
    halves[0].merge(halves[1])
    assert halves[0]._keys.size <= 49_152
    exact = sum_of_precisions(scores, hits) / hits.sum()
    assert halves[0].precision_sums()[0] / hits.sum() == pytest.approx(exact, abs=2e-5)


def test_parts_of_different_coarseness_are_merged() -> None:
    rng = np.random.default_rng(2)
    many, few = rng.random(5000), rng.random(50)
    parts = [(many, many > 0.8), (few, few > 0.5)]
    forward, backward = counted(parts[0], capacity=256), counted(parts[1], capacity=256)
    forward.merge(counted(parts[1], capacity=256))
    backward.merge(counted(parts[0], capacity=256))
    np.testing.assert_array_equal(forward._keys, backward._keys)
    assert forward.precision_sums() == backward.precision_sums()
    assert forward._predictions.sum() == 5050


def test_adding_a_few_predictions_does_not_copy_all_that_is_kept() -> None:
    tracemalloc.start()
    ranked = RankedHits(2**20)
    for part in np.split(np.random.default_rng(4).random(400_000), 8):
        ranked.add(part, part > 0.5)
    ranked.precision_sums()
    kept = ranked._keys.nbytes + ranked._predictions.nbytes + ranked._hits.nbytes
    ranked.add(np.array([0.25, 0.5]), np.array([True, False]))
    before, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    ranked._settle()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak - before < 0.5 * kept  # one of the three arrays at a time, and a mask


def test_nothing_sums_up_to_zero() -> None:
    assert RankedHits().precision_sums(3).tolist() == [0, 0, 0]


def test_few_predictions_at_a_time_are_not_sorted_in_among_all_the_others_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    passed_over, original = 0, RankedHits._join

    def count(ranked: RankedHits, *added: np.ndarray) -> None:
        nonlocal passed_over
        original(ranked, *added)
        passed_over += ranked._keys.size

    monkeypatch.setattr(RankedHits, "_join", count)
    scores = np.random.default_rng(3).random(300_000)
    ranked = RankedHits(2**20)
    for part in np.split(scores, 1000):
        ranked.add(part, part > 0.5)
    ranked.precision_sums()
    assert scores.size <= passed_over < 4 * scores.size
