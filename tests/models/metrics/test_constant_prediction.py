"""The metrics of a constant prediction are those of the same probabilities, counted video by video."""

import numpy as np
import pytest

from models.metrics.constant_prediction import constant_metrics
from models.metrics.video_metrics import VideoMetrics

# With ties, among the 20 best and at their end, and frequencies on both sides of thresholds.
PROBABILITIES = [
    np.full(7, 0.5),
    np.array([0.9, 0.6, 0.6, 0.51, 0.5, 0.001, 0.0]),
    np.repeat([0.7, 0.3, 0.3, 0.001, 0.0004, 0.0], 10),
    np.random.default_rng(0).random(60) ** 4,
]


@pytest.mark.parametrize("probabilities", PROBABILITIES)
def test_counts_of_labels_give_the_metrics_of_all_videos(probabilities):
    labels = (np.random.default_rng(1).random((50, len(probabilities))) < np.clip(probabilities, 0.02, 0.9)) * 1
    expected = VideoMetrics(len(probabilities))
    expected.update(np.tile(probabilities, (50, 1)), labels)
    metrics = constant_metrics(probabilities, 50, labels.sum(axis=0))
    assert metrics.best_threshold() == expected.best_threshold()
    np.testing.assert_array_equal(metrics.f1_by_threshold(), expected.f1_by_threshold())
    threshold = metrics.best_threshold()
    assert metrics.scores(threshold) == pytest.approx(expected.scores(threshold) | {"perr": 0.0}, abs=1e-12)


def test_without_videos_scores_are_0():
    metrics = constant_metrics(np.array([0.6, 0.1]), 0, np.zeros(2, np.int64))
    assert set(metrics.scores(metrics.best_threshold()).values()) == {0.0}
