"""Ranked predictions: exact up to their capacity, close above it, whatever the order."""

import pickle
import tracemalloc
from collections.abc import Callable, Iterator
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.metrics.ranked_predictions import CAPACITY_BY_LABEL, RankedHits, RankedPredictions, places


def counted(*parts: tuple[np.ndarray, np.ndarray], capacity: int = 2**20) -> RankedHits:
    ranked = RankedHits(capacity)
    for scores, hits in parts:
        order = np.argsort(scores)
        ranked.count(places(scores[order]), hits[order].astype(np.int64))
    return ranked


def test_equal_scores_count_as_the_mean_over_all_their_orders() -> None:
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
def test_order_and_distribution_do_not_change_the_sums(
    sum_of_precisions: Callable, entries: list[tuple[int, bool]], cuts: list[int], shuffle: object
) -> None:
    scores, hits = (np.array(column) for column in zip(*entries, strict=True))
    scores = scores / 1000
    shuffle.shuffle(entries)
    parts = np.split(np.array(entries, float), sorted(min(c, len(entries)) for c in cuts))
    merged = RankedHits(2**16)
    for part in parts:
        merged.merge(counted((part[:, 0] / 1000, part[:, 1] > 0)))
    assert merged.precision_sums()[0] == pytest.approx(sum_of_precisions(scores, hits), abs=1e-9)


def test_neighbouring_float32_probabilities_have_different_places() -> None:
    for p in (1e-12, 1e-5, 0.3, 0.5, 0.75, 0.999, 1 - 2e-6):
        low = np.float32(p)
        high = np.nextafter(low, np.float32(1))
        assert counted((np.array([low, high]), np.array([1, 0]))).precision_sums()[0] == 0.5


def test_predictions_are_ranked_by_label_and_together(sum_of_precisions: Callable) -> None:
    rng = np.random.default_rng(0)
    scores, hits, groups = rng.random(500), rng.random(500) < 0.3, rng.integers(0, 7, 500)
    ranked = RankedPredictions(9)
    ranked.add(scores, hits, groups)
    together, by_label = ranked.precision_sums()
    assert together == pytest.approx(sum_of_precisions(scores, hits), rel=1e-9)
    expected = [sum_of_precisions(scores[groups == g], hits[groups == g]) for g in range(9)]
    np.testing.assert_allclose(by_label, expected, rtol=1e-9)


@pytest.mark.parametrize("scale", [1.0, 1e-5])
def test_above_its_capacity_memory_is_bounded_and_sums_stay_close(sum_of_precisions: Callable, scale: float) -> None:
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
    assert forward.precision_sums() == backward.precision_sums()
    np.testing.assert_array_equal(forward._keys, backward._keys)
    assert forward._predictions.sum() == 5050


@pytest.fixture
def growth() -> Iterator[Callable[[Callable[[], object]], int]]:
    """`(call)` -> the peak growth of memory during the call, in bytes."""

    def measure(call: Callable[[], object]) -> int:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        call()
        return tracemalloc.get_traced_memory()[1] - before

    tracemalloc.start()
    yield measure
    tracemalloc.stop()


def random_predictions(seed: int, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.random(count), rng.random(count) < 0.3, rng.integers(0, 3862, count)


def test_a_prediction_takes_8_bytes_and_spare_room(growth: Callable) -> None:
    ranked = RankedPredictions(3862)

    def add() -> None:
        for seed in range(1000):
            ranked.add(*random_predictions(seed, 400))

    assert growth(add) < 2.5 * 8 * 400_000
    # Counted ones take 24 bytes; one array exists twice at a time, temporary ones hold a few predictions.
    assert growth(ranked.precision_sums) < 52 * 400_000


def test_counting_a_few_predictions_does_not_copy_all_that_is_kept(growth: Callable) -> None:
    ranked = RankedPredictions(3862)
    ranked.add(*random_predictions(0, 400_000))
    ranked.precision_sums()
    ranked.add(*random_predictions(1, 2))
    by_label = ranked._by_label
    kept = by_label._keys.nbytes + by_label._predictions.nbytes + by_label._hits.nbytes
    assert growth(ranked._count) < 0.5 * kept  # one of the three arrays at a time, and a mask


def test_memory_does_not_grow_with_predictions_beyond_the_capacity(growth: Callable) -> None:
    def add(count: int) -> None:
        ranked = RankedPredictions(3862)
        for seed in range(count // 100_000):
            ranked.add(*random_predictions(seed, 100_000))

    assert growth(lambda: add(4 * CAPACITY_BY_LABEL)) < 1.1 * growth(lambda: add(2 * CAPACITY_BY_LABEL))


def test_pickling_does_not_change_later_sums() -> None:
    sent, kept = RankedPredictions(3862), RankedPredictions(3862)
    for seed in range(4):
        sent = pickle.loads(pickle.dumps(sent, protocol=5))
        for ranked in (sent, kept):
            ranked.add(*random_predictions(seed, 1000))
            if seed == 1:
                ranked.precision_sums()
    assert sent.precision_sums()[0] == kept.precision_sums()[0]
    np.testing.assert_array_equal(sent.precision_sums()[1], kept.precision_sums()[1])


def test_sums_without_predictions_are_zero() -> None:
    together, by_label = RankedPredictions(3).precision_sums()
    assert together == 0 and by_label.tolist() == [0, 0, 0]


def test_reading_sums_early_and_distribution_do_not_change_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.metrics.ranked_predictions.CAPACITY_BY_LABEL", 2000)
    monkeypatch.setattr("models.metrics.ranked_predictions.CAPACITY", 300)
    scores, hits, labels = random_predictions(7, 9000)
    whole, parts = RankedPredictions(20), [RankedPredictions(20) for _ in range(3)]
    whole.add(scores, hits, labels % 20)
    for number, at in enumerate(np.array_split(np.random.default_rng(0).permutation(9000), 30)):
        parts[number % 3].add(scores[at], hits[at], labels[at] % 20)
        if number % 4 == 0:
            parts[number % 3].precision_sums()
    parts[2].merge(parts[0])
    parts[2].merge(parts[1])
    assert parts[2].precision_sums()[0] == whole.precision_sums()[0]
    np.testing.assert_array_equal(parts[2].precision_sums()[1], whole.precision_sums()[1])


def test_predictions_are_counted_in_large_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    passed_over, original = 0, RankedHits._join

    def count(ranked: RankedHits, *added: np.ndarray) -> None:
        nonlocal passed_over
        original(ranked, *added)
        passed_over += ranked._keys.size

    monkeypatch.setattr("models.metrics.ranked_predictions.CAPACITY_BY_LABEL", 20_000)
    monkeypatch.setattr(RankedHits, "_join", count)
    scores = np.random.default_rng(3).integers(0, 10_000, 300_000) / 10_000
    ranked = RankedPredictions(1)
    for part in np.split(scores, 1000):
        ranked.add(part, part > 0.5, np.zeros(300, int))
    ranked.precision_sums()
    assert 0 < passed_over < 1.2 * 2 * scores.size  # by label and together
