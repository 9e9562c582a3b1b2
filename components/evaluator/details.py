"""Details behind the scores of a slice: curves, labels, confusions and videos."""

import zlib
from typing import Self

import numpy as np
from pydantic import BaseModel, ConfigDict

from models.metrics.findings import Findings, Video
from models.metrics.video_metrics import CALIBRATION_BINS, VideoMetrics

# Confused pairs, as many as a page shows.
CONFUSIONS = 30


class Details(BaseModel):
    """Counts of one model on the videos of a slice.

    Attributes:
        replicates: F1, GAP, Hit@1 and `f1_at_threshold` of each bootstrap replicate; those of two models draw the same
            videos.
        true_positives, predicted, actual: videos by label id, predicted above 0.5.
        hits_above, predicted_above: correct and all predicted (video, label) pairs by threshold k / 1000.
        confidence, accuracy, pairs: mean probability, share of correct pairs and number of pairs in each of 20 bins.
        threshold: of `f1_at_threshold`, fitted to the validation split.
        confusions: (missed label, wrong label, videos).
        sample, worst: some videos, and those with the largest errors.
    """

    # A model that gives NaN has NaN replicates.
    model_config = ConfigDict(frozen=True, ser_json_inf_nan="constants")

    replicates: dict[str, list[float]]
    true_positives: list[int]
    predicted: list[int]
    actual: list[int]
    hits_above: list[int]
    predicted_above: list[int]
    confidence: list[float]
    accuracy: list[float]
    pairs: list[int]
    threshold: float
    confusions: list[tuple[int, int, int]]
    sample: list[Video]
    worst: list[Video]

    @classmethod
    def of(cls, metrics: VideoMetrics, findings: Findings, threshold: float) -> Self:
        """The details in the accumulators."""
        hits_above, predicted_above = metrics.decisions_by_threshold()
        positives, pairs, probabilities = (
            counts.reshape(CALIBRATION_BINS, -1).sum(axis=1)
            for counts in (metrics.positives, metrics.pairs, metrics.probabilities)
        )
        counted = np.maximum(pairs, 1)
        return cls(
            replicates={name: values.tolist() for name, values in metrics.replicates().items()},
            true_positives=metrics.true_positives.tolist(),
            predicted=metrics.predicted.tolist(),
            actual=metrics.actual.tolist(),
            hits_above=hits_above.tolist(),
            predicted_above=predicted_above.tolist(),
            confidence=(probabilities / counted).tolist(),
            accuracy=(positives / counted).tolist(),
            pairs=pairs.tolist(),
            threshold=threshold,
            confusions=findings.confusions(CONFUSIONS),
            sample=findings.sample(),
            worst=findings.worst(),
        )

    def to_bytes(self) -> bytes:
        """Compressed JSON."""
        return zlib.compress(self.model_dump_json().encode())

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Reads the result of `to_bytes`."""
        return cls.model_validate_json(zlib.decompress(content))
