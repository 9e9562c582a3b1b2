"""Every score against its definition, in any order and distribution."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.metrics.outcomes import THRESHOLD
from models.metrics.video_metrics import SCORES, VideoMetrics

Predictions = tuple[np.ndarray, np.ndarray]


def counted(probabilities: np.ndarray, labels: np.ndarray, batch: int = 64) -> VideoMetrics:
    metrics = VideoMetrics(labels.shape[1])
    for start in range(0, len(labels), batch):
        metrics.update(probabilities[start : start + batch], labels[start : start + batch])
    return metrics


def test_scores_match_their_definitions(predictions: Predictions, scores_by_definition: Callable) -> None:
    scores = counted(*predictions).scores()
    expected = scores_by_definition(*predictions)
    assert scores.keys() == expected.keys()
    for name, value in expected.items():
        assert scores[name] == pytest.approx(value, abs=1e-6), name


@given(cuts=st.lists(st.integers(0, 300), min_size=1, max_size=5), seed=st.integers(0, 100))
def test_order_and_distribution_do_not_change_the_scores(
    fair_predictions: Callable, cuts: list[int], seed: int
) -> None:
    probabilities, labels = fair_predictions(seed)
    order = np.random.default_rng(seed).permutation(len(labels))
    merged = VideoMetrics(labels.shape[1])
    for part in np.split(order, sorted(cuts)):
        merged.merge(counted(probabilities[part], labels[part]))
    assert merged.videos == len(labels)
    assert merged.scores(0.3) == pytest.approx(counted(probabilities, labels).scores(0.3), abs=1e-9)


def test_f1_by_threshold_counts_pairs_above_the_threshold(predictions: Predictions) -> None:
    probabilities, labels = predictions
    metrics = counted(probabilities, labels)
    p, y = probabilities.astype(np.float64), labels > 0
    by_threshold = metrics.f1_by_threshold()
    for k in (1, 2, 99, 100, 101, 500, 700, 999):
        chosen = p > k / 1000
        total = chosen.sum() + y.sum()
        assert by_threshold[k] == pytest.approx(2 * (chosen & y).sum() / total if total else 0.0, abs=1e-12), k
    assert by_threshold[500] == pytest.approx(metrics.scores()["f1"], abs=1e-12)
    best = metrics.best_threshold()
    assert metrics.scores(best)["f1_at_threshold"] == by_threshold.max()


def test_a_probability_of_exactly_one_half_is_not_predicted() -> None:
    probabilities = np.array([[0.5, np.nextafter(np.float32(0.5), np.float32(1))]], np.float32)
    metrics = counted(probabilities, np.array([[1, 0]]))
    assert metrics.predicted.tolist() == [0, 1] and metrics.scores()["f1"] == 0.0


def test_the_precision_and_recall_of_the_thesis_give_its_f1() -> None:
    # Table 15: P 0.788 and R 0.723 were published with F1 0.754.
    metrics = VideoMetrics(1)
    metrics.true_positives[:], metrics.predicted[:], metrics.actual[:] = 72300, round(72300 / 0.788), 100_000
    scores = metrics.scores()
    assert (round(scores["precision"], 3), round(scores["recall"], 3), round(scores["f1"], 3)) == (0.788, 0.723, 0.754)


def test_f1_of_a_group_of_labels(fair_predictions: Callable) -> None:
    probabilities, labels = fair_predictions(3)
    columns = np.array([1, 5, 17])
    p, y = probabilities[:, columns] > 0.5, labels[:, columns] > 0
    assert counted(probabilities, labels).f1_of(columns) == pytest.approx(2 * (p & y).sum() / (p.sum() + y.sum()))


def test_the_names_of_the_scores_are_complete_and_in_order() -> None:
    assert tuple(VideoMetrics(1).scores(THRESHOLD)) == SCORES


def test_undefined_scores_are_zero() -> None:
    assert set(VideoMetrics(3).scores().values()) == {0.0}
    silent = counted(np.zeros((2, 3), np.float32), np.zeros((2, 3))).scores()
    assert set(silent.values()) == {0.0}


def test_one_nan_among_the_probabilities_makes_all_scores_nan() -> None:
    probabilities = np.full((4, 3), 0.9, np.float32)
    probabilities[2, 1] = np.nan
    metrics = counted(probabilities, np.ones((4, 3)), batch=1)
    assert all(np.isnan(score) for score in metrics.scores(0.2).values())
    assert np.isnan(metrics.f1_of(np.array([0])))


def test_perr_uses_more_than_twenty_predictions_and_gap_does_not() -> None:
    labels = np.ones((1, 30))
    scores = counted(np.linspace(0.9, 0.6, 30, dtype=np.float32)[None], labels).scores()
    assert scores["perr"] == 1.0
    assert scores["gap"] == pytest.approx(20 / 30)
