"""The constant prediction scores as a model that gives every video the label frequencies of the training split."""

import numpy as np
import pytest

from components.dataset_statistics.statistics import SplitStatistics, Statistics
from components.evaluator.constant_prediction import ConstantPrediction
from models.metrics.video_metrics import VideoMetrics


def test_it_scores_as_a_model_whose_threshold_is_fitted_to_the_validation_split():
    generator = np.random.default_rng(0)
    rates = generator.random(30) ** 3
    labels = {split: generator.random((200, 30)) < rates for split in ("train", "validation", "test")}
    splits = {
        split: SplitStatistics.model_construct(videos=200, label_frequency=tuple(has_label.sum(axis=0).tolist()))
        for split, has_label in labels.items()
    }
    metrics = {split: VideoMetrics(30) for split in labels}
    for split, counted in metrics.items():
        counted.update(np.tile(labels["train"].mean(axis=0), (200, 1)), labels[split])
    expected = metrics["test"].scores(metrics["validation"].best_threshold())
    assert expected["f1_at_threshold"] != pytest.approx(expected["f1"]) and expected.pop("perr") > 0
    constant = ConstantPrediction.of(Statistics.model_construct(splits=splits))
    assert constant.scores(200, splits["test"].label_frequency) == pytest.approx(expected, abs=1e-12)
