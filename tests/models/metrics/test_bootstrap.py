"""The bootstrap: Poisson draws that depend on the id, intervals with the promised coverage."""

from collections.abc import Callable

import numpy as np
import pytest

from models.metrics.bootstrap import interval, poisson_weights
from models.metrics.video_metrics import VideoMetrics

THRESHOLD = 0.213


def ids(count: int) -> list[bytes]:
    return [b"%06d" % number for number in range(count)]


def test_draws_are_poisson_variables_of_mean_1() -> None:
    weights = poisson_weights(ids(5000))
    assert weights.mean() == pytest.approx(1, abs=0.005) and weights.var() == pytest.approx(1, abs=0.01)
    share = [(weights == k).mean() for k in range(5)]
    assert share == pytest.approx([np.exp(-1) / f for f in (1, 1, 2, 6, 24)], abs=0.002)


def test_draws_of_videos_and_of_replicates_are_independent() -> None:
    weights = poisson_weights(ids(2000))
    for matrix in (weights[:200], weights.T):
        correlations = np.corrcoef(matrix)[np.triu_indices(len(matrix), 1)]
        assert abs(correlations.mean()) < 0.002
        assert correlations.std() == pytest.approx(matrix.shape[1] ** -0.5, rel=0.05)


def test_a_video_is_drawn_the_same_in_any_batch() -> None:
    np.testing.assert_array_equal(poisson_weights(ids(10))[7:], poisson_weights(ids(10)[7:]))


def accumulated(probabilities: np.ndarray, labels: np.ndarray, names: list[bytes]) -> VideoMetrics:
    metrics = VideoMetrics(labels.shape[1], replicates=200, threshold=THRESHOLD)
    for start in range(0, len(labels), 50):
        part = slice(start, start + 50)
        metrics.update(probabilities[part], labels[part], names[part])
    return metrics


def test_replicates_are_scores_of_the_drawn_videos(fair_predictions: Callable, scores_by_definition: Callable) -> None:
    probabilities, labels = fair_predictions(5)
    names = ids(len(labels))
    replicates = accumulated(probabilities, labels, names).replicates()
    weights = poisson_weights(names)
    for nth in range(10):
        drawn = np.repeat(np.arange(len(labels)), weights[:, nth].astype(int))
        expected = scores_by_definition(probabilities[drawn], labels[drawn])
        assert replicates["f1"][nth] == pytest.approx(expected["f1"], abs=1e-9)
        assert replicates["gap"][nth] == pytest.approx(expected["gap"], abs=1e-3)
        assert replicates["hit_at_1"][nth] == pytest.approx(expected["hit_at_1"], abs=1e-9)
        sample = VideoMetrics(labels.shape[1])
        sample.update(probabilities[drawn], labels[drawn])
        assert replicates["f1_at_threshold"][nth] == pytest.approx(sample.scores(THRESHOLD)["f1_at_threshold"])


def test_intervals_contain_the_true_score_as_often_as_promised(fair_predictions: Callable) -> None:
    probabilities, labels = fair_predictions(6, videos=20_000)
    truth = VideoMetrics(labels.shape[1])
    truth.update(probabilities, labels)
    scores = truth.scores(THRESHOLD)
    inside = {"f1": 0, "gap": 0, "hit_at_1": 0, "f1_at_threshold": 0}
    for part in range(100):
        rows = slice(200 * part, 200 * part + 200)
        sample = accumulated(probabilities[rows], labels[rows], ids(20_000)[rows]).replicates()
        for name in inside:
            low, high = interval(sample[name])
            inside[name] += low <= scores[name] <= high
    assert all(88 <= count <= 100 for count in inside.values()), inside


def test_intervals_shrink_with_the_square_root_of_the_number_of_videos(fair_predictions: Callable) -> None:
    probabilities, labels = fair_predictions(8, videos=4000)
    width = {}
    for videos in (1000, 4000):
        low, high = interval(accumulated(probabilities[:videos], labels[:videos], ids(videos)).replicates()["f1"])
        width[videos] = high - low
    assert width[1000] / width[4000] == pytest.approx(2, rel=0.25)


def test_merged_parts_have_the_same_replicates_as_the_whole(fair_predictions: Callable) -> None:
    probabilities, labels = fair_predictions(9)
    names = ids(len(labels))
    whole = accumulated(probabilities, labels, names)
    first, second = (
        accumulated(probabilities[part], labels[part], names[part]) for part in (slice(100), slice(100, None))
    )
    first.merge(second)
    for name, values in whole.replicates().items():
        np.testing.assert_allclose(first.replicates()[name], values, rtol=1e-6)
