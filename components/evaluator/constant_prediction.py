"""The constant prediction: the training split's label frequencies for every video. A first model must score higher."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from components.dataset_statistics.statistics import Statistics
from components.example_gen.splits import SPLITS
from models.metrics.constant_prediction import constant_metrics


@dataclass(frozen=True, eq=False)
class ConstantPrediction:
    """A predictor that knows how frequent labels are, and nothing about a video.

    Attributes:
        probabilities: of the labels, float64 [classes].
        threshold: of the best F1 on the validation split, as for a model.
    """

    probabilities: np.ndarray
    threshold: float

    @classmethod
    def of(cls, statistics: Statistics) -> Self:
        """The constant prediction for a data set."""
        train, validation, _ = (statistics.splits[split] for split in SPLITS)
        probabilities = np.array(train.label_frequency) / train.videos
        metrics = constant_metrics(probabilities, validation.videos, np.array(validation.label_frequency))
        return cls(probabilities, metrics.best_threshold())

    def scores(self, videos: int, actual: Sequence[int]) -> dict[str, float]:
        """Its scores on videos.

        Args:
            videos: number of videos.
            actual: how many of them have each label.
        """
        scores = constant_metrics(self.probabilities, videos, np.array(actual)).scores(self.threshold)
        del scores["perr"]  # depends on the labels of each video
        return scores
