"""MAP@K equals a full sort in NumPy by the published definition, with ties, absent labels and in any order."""

import pickle
import tracemalloc
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.metrics.map_at_k import MapAtK
from models.metrics.rated_replicates import RatedReplicates

LABELS = 5


def by_definition(scores: np.ndarray, holds: np.ndarray, k: int) -> float:
    """Non-interpolated average precision of one label's ratings, whose order decides between equal scores."""
    ranked = holds[np.argsort(-scores, kind="stable")][:k]
    precisions = np.cumsum(ranked) / np.arange(1, len(ranked) + 1)
    return float((precisions * ranked).sum() / holds.sum()) if holds.any() else 0.0


def with_ties(scores: np.ndarray, holds: np.ndarray, k: int) -> float:
    """The mean over all orders of the ratings."""
    orders = [list(order) for order in permutations(range(len(scores)))]
    return float(np.mean([by_definition(scores[order], holds[order], k) for order in orders]))


def means(of_labels: dict[int, float], holds: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    positive, rated = sorted(set(labels[holds].tolist())), sorted(set(labels.tolist()))
    return {
        "map_at_k": float(np.mean([of_labels[label] for label in positive])) if positive else 0.0,
        "map_at_k_rated": float(np.mean([of_labels[label] for label in rated])) if rated else 0.0,
    }


@settings(max_examples=100)
@given(
    seed=st.integers(0, 2**32),
    ratings=st.integers(0, 400),
    k=st.sampled_from([1, 7, 50, 1000]),
    cuts=st.lists(st.integers(0, 400), max_size=3),
)
def test_without_ties_it_equals_a_full_sort(seed: int, ratings: int, k: int, cuts: list[int]) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.permutation(1000)[:ratings].astype(np.float64) ** 3  # far apart and close together
    holds, labels = rng.random(ratings) < rng.random(), rng.integers(0, rng.integers(1, LABELS), ratings)
    merged = MapAtK(LABELS, k)
    for part in np.split(rng.permutation(ratings), sorted(min(cut, ratings) for cut in cuts)):
        some = MapAtK(LABELS, k)
        some.add(scores[part], holds[part], labels[part])
        merged.merge(pickle.loads(pickle.dumps(some)))
    expected = {label: by_definition(scores[labels == label], holds[labels == label], k) for label in range(LABELS)}
    np.testing.assert_allclose(merged.average_precisions(), list(expected.values()), rtol=0, atol=1e-9)
    assert merged.means() == pytest.approx(means(expected, holds, labels), abs=1e-9)


@settings(max_examples=60)
@given(
    ratings=st.lists(st.tuples(st.integers(0, 2), st.booleans(), st.integers(0, 3)), max_size=12),
    k=st.integers(1, 8),
    waiting=st.integers(1, 5),
)
def test_ties_count_as_the_mean_over_all_orders(ratings: list[tuple[int, bool, int]], k: int, waiting: int) -> None:
    scores, holds, labels = (np.array([rating[place] for rating in ratings]) for place in range(3))
    scores, holds, labels = scores / 2, holds.astype(bool), labels.astype(int)
    few = np.array([np.flatnonzero(labels[: place + 1] == labels[place]).size for place in range(len(labels))]) <= 5
    scores, holds, labels = scores[few], holds[few], labels[few]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("models.metrics.map_at_k._WAITING", waiting)
        ranked = MapAtK(LABELS, k)
        for place in range(len(labels)):
            ranked.add(scores[place : place + 1], holds[place : place + 1], labels[place : place + 1])
    expected = {label: with_ties(scores[labels == label], holds[labels == label], k) for label in range(LABELS)}
    np.testing.assert_allclose(ranked.average_precisions(), list(expected.values()), rtol=0, atol=1e-9)
    assert ranked.means() == pytest.approx(means(expected, holds, labels), abs=1e-9)


def test_many_ties_across_rank_k_are_counted_with_their_expectation() -> None:
    rng = np.random.default_rng(0)
    scores, holds = rng.integers(0, 3, 300) / 2, rng.random(300) < 0.4
    ranked = MapAtK(1, 150)
    ranked.add(scores, holds, np.zeros(300, int))
    orders = (rng.permutation(300) for _ in range(4000))
    drawn = [by_definition(scores[order], holds[order], 150) for order in orders]
    error = np.std(drawn) / np.sqrt(len(drawn))
    assert ranked.average_precisions()[0] == pytest.approx(np.mean(drawn), abs=4 * error)


def test_labels_without_a_positive_rating_are_left_out_or_count_as_0() -> None:
    ranked = MapAtK(LABELS)
    ranked.add(np.array([0.9, 0.8, 0.7]), np.array([False, True, False]), np.array([1, 1, 3]))
    assert ranked.means() == {"map_at_k": 0.5, "map_at_k_rated": 0.25}
    assert MapAtK(LABELS).means() == {"map_at_k": 0.0, "map_at_k_rated": 0.0}


def test_one_nan_makes_the_means_nan() -> None:
    ranked = MapAtK(LABELS)
    ranked.add(np.array([0.9, np.nan]), np.array([True, False]), np.array([1, 1]))
    assert all(np.isnan(score) for score in ranked.means().values())


def test_memory_is_bounded_by_k_and_the_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.metrics.map_at_k._WAITING", 2**14)
    ranked, rng = MapAtK(20, k=500), np.random.default_rng(0)
    tracemalloc.start()
    for _ in range(60):
        ranked.add(rng.random(10_000), rng.random(10_000) < 0.3, rng.integers(0, 20, 10_000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(ranked._ranked()[0]) == 20 * 500 and peak < 6e6  # 600,000 ratings take 17 MB


def test_a_replicate_is_the_score_of_the_ratings_that_it_draws() -> None:
    rng = np.random.default_rng(0)
    scores, holds, labels = rng.random(200), rng.random(200) < 0.4, rng.integers(0, LABELS, 200)
    weights = rng.integers(0, 2, (200, 7))
    kept, first = RatedReplicates(7), RatedReplicates(7)
    first.add(labels[:50], scores[:50], holds[:50], weights[:50])
    kept.add(labels[50:], scores[50:], holds[50:], weights[50:])
    kept.merge(first)
    for drawn, mean in zip(weights.T > 0, kept.means(), strict=True):
        ranked = MapAtK(LABELS)
        ranked.add(scores[drawn], holds[drawn], labels[drawn])
        assert mean == pytest.approx(ranked.means()["map_at_k"], abs=1e-9)


def test_a_rating_that_is_drawn_twice_counts_twice() -> None:
    rng = np.random.default_rng(1)
    scores, holds, labels = rng.random(300), rng.random(300) < 0.5, rng.integers(0, LABELS, 300)
    weights = rng.poisson(1, (300, 20))
    kept = RatedReplicates(20)
    kept.add(labels, scores, holds, weights)
    for times, mean in zip(weights.T, kept.means(), strict=True):
        ranked = MapAtK(LABELS)
        ranked.add(*(np.repeat(values, times) for values in (scores, holds, labels)))
        assert mean == pytest.approx(ranked.means()["map_at_k"], abs=0.01)
