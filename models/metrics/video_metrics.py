"""All metrics of a multi-label classifier, from one pass over its probabilities."""

from collections.abc import Sequence
from typing import Self

import numpy as np

from models.metrics.bootstrap import poisson_weights
from models.metrics.ranked_predictions import HIGHEST, LOWEST, RankedPredictions, clipped_logits

# A label is predicted strictly above it, as in the thesis (section 3.5) and Keras.
THRESHOLD = 0.5

# GAP and mAP use the 20 best predictions of a video, as the YouTube-8M challenges did.
TOP = 20

# Thresholds are multiples of 1/1000.
CELLS = 1000

# Bins of equal width, for the calibration error.
CALIBRATION_BINS = 20

# Step of a logit for the replicates of GAP: intervals need fewer digits than scores (200 x 768 places are 1 MB).
_REPLICATE_STEP = 1 / 16
_REPLICATE_PLACES = int((HIGHEST - LOWEST) / _REPLICATE_STEP)

# The names of all scores, as `VideoMetrics.scores` orders them; the first is the thesis'.
SCORES = (
    "f1",
    "precision",
    "recall",
    "macro_f1",
    "macro_precision",
    "macro_recall",
    "gap",
    "map",
    "map_official",
    "perr",
    "hit_at_1",
    "ece",
    "f1_at_threshold",
)


class VideoMetrics:
    """Counts over the videos so far, from which all scores are computed.

    Memory does not depend on the number of videos; scores do not depend on their order or on how they are distributed
    among merged accumulators. One NaN among the probabilities makes all scores NaN.

    Args:
        classes: number of labels.
        replicates: number of bootstrap replicates; 0 for none.

    Example:
        >>> metrics = VideoMetrics(classes=3)
        >>> metrics.update(np.array([[0.9, 0.6, 0.1]]), np.array([[1, 0, 0]]))
        >>> scores = metrics.scores()
        >>> scores["precision"], scores["recall"]
        (0.5, 1.0)
    """

    def __init__(self, classes: int, replicates: int = 0) -> None:
        self.classes = classes
        self.videos = 0
        self.nans = 0
        self.true_positives, self.predicted, self.actual = (np.zeros(classes, np.int64) for _ in range(3))
        # (video, label) pairs by probability: cell k counts those in (k/1000, (k+1)/1000], and cell 0 also those at 0.
        self.pairs, self.positives = np.zeros(CELLS, np.int64), np.zeros(CELLS, np.int64)
        self.probabilities = np.zeros(CELLS)
        self.ranked = RankedPredictions(classes)
        self.perr_sum = 0.0
        self.first_is_right = 0
        # Hits, predictions and labels, videos and those whose best prediction is right.
        self.replicate_counts = np.zeros((replicates, 5))
        self.replicate_ranks = np.zeros((2, _REPLICATE_PLACES, replicates), np.float32)

    def update(self, probabilities: np.ndarray, labels: np.ndarray, ids: Sequence[bytes] = ()) -> None:
        """Counts videos.

        Args:
            probabilities: float, [videos, classes].
            labels: 0 or 1, same shape.
            ids: video ids; only the bootstrap needs them.
        """
        probabilities = np.asarray(probabilities, np.float32)
        missing = np.isnan(probabilities)
        if missing.any():
            self.nans += int(missing.sum())
            return
        truth = np.asarray(labels) > 0
        self.videos += len(truth)
        decisions = self._count_decisions(probabilities, truth)
        ranks = self._count_ranks(probabilities, truth, decisions[:, 2])
        if self.replicate_counts.size:
            self._count_replicates(poisson_weights(ids, len(self.replicate_counts)), decisions, *ranks)

    def merge(self, other: Self) -> None:
        """Adds the counts of another accumulator: all attributes but `classes`."""
        for name, count in vars(self).items():
            if isinstance(count, RankedPredictions):
                count.merge(getattr(other, name))
            elif name != "classes":
                setattr(self, name, count + getattr(other, name))

    def scores(self, threshold: float | None = None) -> dict[str, float]:
        """All scores by name; undefined scores are 0.

        - `f1`, `precision`, `recall`: equations 7 to 9 of the thesis, section 3.4, micro-averaged: over all (video,
          label) pairs. Those with a probability above 0.5 are predicted.
        - `macro_f1`, `macro_precision`, `macro_recall`: means of the labels' scores, over the labels that occur.
        - `gap`: global average precision, GAP@20 of the YouTube-8M challenges: of the 20 best predictions of each
          video, all ranked together, and of all true labels.
        - `map`, `map_official`: mean average precision (Abu-El-Haija et al., arXiv 1609.08675, section 5): of the same
          predictions, ranked by label; the mean over the labels that occur, and over all labels.
        - `perr`: precision at equal recall rate (same section): of a video with n labels, the share of right ones among
          its n best predictions, averaged over videos.
        - `hit_at_1`: the share of videos whose best prediction is right (same section).
        - `ece`: the expected calibration error of Guo et al., arXiv 1706.04599, over all pairs in 20 bins.
        - `f1_at_threshold`: the micro F1 at `threshold`, if there is one.

        Equal probabilities are ranked by label id.

        Args:
            threshold: a multiple of 1/1000; a pair is predicted above it.
        """
        hits, predicted, actual = (int(counts.sum()) for counts in (self.true_positives, self.predicted, self.actual))
        occurs = self.actual > 0
        precision, recall = _ratio(self.true_positives, self.predicted), _ratio(self.true_positives, self.actual)
        precisions, precisions_by_class = self.ranked.precision_sums()
        by_class = _ratio(precisions_by_class, self.actual)
        scores = {
            "f1": float(_ratio(2 * hits, predicted + actual)),
            "precision": float(_ratio(hits, predicted)),
            "recall": float(_ratio(hits, actual)),
            "macro_f1": _mean(_ratio(2 * self.true_positives, self.predicted + self.actual)[occurs]),
            "macro_precision": _mean(precision[occurs]),
            "macro_recall": _mean(recall[occurs]),
            "gap": float(_ratio(precisions, actual)),
            "map": _mean(by_class[occurs]),
            "map_official": _mean(by_class),
            "perr": float(_ratio(self.perr_sum, self.videos)),
            "hit_at_1": float(_ratio(self.first_is_right, self.videos)),
            "ece": self._calibration_error(),
        }
        if threshold is not None:
            scores["f1_at_threshold"] = float(self.f1_by_threshold()[round(threshold * CELLS)])
        return dict.fromkeys(scores, float("nan")) if self.nans else scores

    def f1_of(self, columns: np.ndarray) -> float:
        """Micro F1 over some labels (an index array or a mask) and all videos."""
        if self.nans:
            return float("nan")
        hits, predicted, actual = (
            counts[columns].sum() for counts in (self.true_positives, self.predicted, self.actual)
        )
        return float(_ratio(2 * hits, predicted + actual))

    def f1_by_threshold(self) -> np.ndarray:
        """Micro F1 if pairs above k / 1000 are predicted (for k = 0 all pairs), float64 [1000]."""
        hits, predicted = self.decisions_by_threshold()
        return _ratio(2 * hits, predicted + self.positives.sum())

    def best_threshold(self) -> float:
        """The threshold with the highest micro F1, a multiple of 1/1000; of several the lowest."""
        return float(np.argmax(self.f1_by_threshold())) / CELLS

    def decisions_by_threshold(self) -> tuple[np.ndarray, np.ndarray]:
        """True positives and predicted pairs above k / 1000 (for k = 0 all pairs), int64 [1000] each."""
        hits, predicted = (np.cumsum(counts[::-1])[::-1] for counts in (self.positives, self.pairs))
        return hits, predicted

    def replicates(self) -> dict[str, np.ndarray]:
        """F1, GAP and Hit@1 of each replicate, float64 [replicates]; the n-th draws the same videos for every model."""
        hits, predicted, actual, videos, first_is_right = self.replicate_counts.T
        predictions, hits_ranked = self.replicate_ranks.astype(np.float64)[:, ::-1]
        before = np.cumsum(predictions, axis=0), np.cumsum(hits_ranked, axis=0)
        # Precision in the middle of a place: counts before it and half of its own.
        at = _ratio(before[1] - hits_ranked / 2, before[0] - predictions / 2)
        return {
            "f1": _ratio(2 * hits, predicted + actual),
            "gap": _ratio((at * hits_ranked).sum(axis=0), actual),
            "hit_at_1": _ratio(first_is_right, videos),
        }

    def _count_decisions(self, probabilities: np.ndarray, truth: np.ndarray) -> np.ndarray:
        """Counts pairs; returns the numbers of hits, predictions and labels of each video, [videos, 3]."""
        # Nearly all pairs are in cell 0, whose count is the rest.
        above = np.flatnonzero(probabilities >= np.float32(1 / CELLS))
        values = probabilities.ravel()[above].astype(np.float64)
        right = truth.ravel()[above]
        cells = np.minimum(np.ceil(values * CELLS).astype(np.int64) - 1, CELLS - 1)
        chosen, actual = values > THRESHOLD, np.flatnonzero(truth)

        counts = (np.bincount(cells, minlength=CELLS), np.bincount(cells[right], minlength=CELLS))
        counts[0][0] += truth.size - cells.size
        counts[1][0] += actual.size - np.count_nonzero(right)
        sums = np.bincount(cells, values, minlength=CELLS).astype(np.float64)  # NumPy's sum of nothing is an integer
        sums[0] += probabilities.sum(dtype=np.float64) - values.sum()
        self.pairs += counts[0]
        self.positives += counts[1]
        self.probabilities += sums

        by_video = []
        totals = (self.true_positives, self.predicted, self.actual)
        for total, pairs in zip(totals, (above[chosen & right], above[chosen], actual), strict=True):
            total += np.bincount(pairs % self.classes, minlength=self.classes)
            by_video.append(np.bincount(pairs // self.classes, minlength=len(truth)))
        return np.stack(by_video, axis=1)

    def _count_ranks(
        self, probabilities: np.ndarray, truth: np.ndarray, actual: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Ranks predictions; returns probabilities and hits of each video's best, [videos, 20]."""
        best = best_labels(probabilities, max(TOP, int(actual.max(initial=0))))
        hits = np.take_along_axis(truth, best, axis=1)
        self.first_is_right += int(np.count_nonzero(hits[:, 0]))
        in_time = hits & (np.arange(hits.shape[1]) < actual[:, None])
        self.perr_sum += float(_ratio(np.count_nonzero(in_time, axis=1), actual).sum())
        best, hits = best[:, :TOP], hits[:, :TOP]
        values = np.take_along_axis(probabilities, best, axis=1)
        self.ranked.add(values, hits, best)
        return values, hits

    def _count_replicates(
        self, weights: np.ndarray, decisions: np.ndarray, values: np.ndarray, hits: np.ndarray
    ) -> None:
        counts = np.column_stack([decisions, np.ones(len(decisions)), hits[:, 0]])
        self.replicate_counts += weights.T @ counts
        places = np.minimum(
            ((clipped_logits(values) - LOWEST) / _REPLICATE_STEP).astype(np.int64), _REPLICATE_PLACES - 1
        )
        used, place = np.unique(places, return_inverse=True)
        cells = place.reshape(places.shape) * len(values) + np.arange(len(values))[:, None]
        for total, of in zip(self.replicate_ranks, (None, hits), strict=True):
            counted = np.bincount(cells.ravel(), None if of is None else of.ravel(), used.size * len(values))
            total[used] += counted.reshape(used.size, len(values)).astype(np.float32) @ weights

    def _calibration_error(self) -> float:
        bins = (CALIBRATION_BINS, CELLS // CALIBRATION_BINS)
        gaps = np.abs((self.positives - self.probabilities).reshape(bins).sum(axis=1))
        return float(_ratio(gaps.sum(), self.pairs.sum()))


def best_labels(probabilities: np.ndarray, count: int) -> np.ndarray:
    """The labels with the highest probabilities, best first; equal probabilities by label id.

    Args:
        probabilities: float32, [videos, classes]; in 0 ... 1.
        count: how many; all if there are fewer labels.

    Returns:
        int64, [videos, min(count, classes)].

    Example:
        >>> best_labels(np.array([[0.2, 0.9, 0.9]]), 2).tolist()
        [[1, 2]]
    """
    classes = probabilities.shape[1]
    # Positive floats compare like their bits; the id in the low bits breaks ties.
    bits = np.ascontiguousarray(probabilities, np.float32).view(np.int32).astype(np.int64)
    keys = -(bits << 32) + np.arange(classes)
    if count < classes:
        keys = np.partition(keys, count - 1, axis=1)[:, :count]
    return np.sort(keys, axis=1) & (2**32 - 1)


def _ratio(part: np.ndarray | float, whole: np.ndarray | float) -> np.ndarray:
    """The quotient, 0 where the whole is 0."""
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    return np.divide(part, whole, out=np.zeros(np.broadcast_shapes(part.shape, whole.shape)), where=whole != 0)


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else 0.0
