"""All metrics of a multi-label classifier, from one pass over its probabilities."""

from collections.abc import Sequence
from typing import Self

import numpy as np

from models.metrics.bootstrap import poisson_weights
from models.metrics.map_at_k import MAP_AT_K, MAP_AT_K_RATED, MapAtK
from models.metrics.outcomes import CELLS, Outcomes
from models.metrics.ranked_predictions import HIGHEST, LOWEST, RankedPredictions, clipped_logits
from models.metrics.rated_replicates import RatedReplicates

# Bins of equal width, for the calibration error.
CALIBRATION_BINS = 20

# Step of a logit for the replicates of GAP: intervals need fewer digits than scores (200 x 768 places are 1 MB).
_REPLICATE_STEP = 1 / 16
_REPLICATE_PLACES = int((HIGHEST - LOWEST) / _REPLICATE_STEP)

# The names of all scores of videos, as `VideoMetrics.scores` orders them; the first is the thesis'.
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

# Scores that need to know all labels of a video, and those of rated segments in their place.
VIDEO_SCORES = ("map", "map_official", "perr", "hit_at_1")
RATED_SCORES = (MAP_AT_K, MAP_AT_K_RATED)
ALL_SCORES = (*SCORES, *RATED_SCORES)


def score_names(rated: bool) -> tuple[str, ...]:
    """The names of all scores of videos, or of rated segments."""
    return (*(name for name in SCORES if name not in VIDEO_SCORES), *RATED_SCORES) if rated else SCORES


class VideoMetrics:
    """Counts over the videos so far, from which all scores are computed.

    Memory does not depend on the number of videos; scores do not depend on their order or on how they are distributed
    among merged accumulators. One NaN among the probabilities makes all scores NaN.

    Args:
        classes: number of labels.
        replicates: number of bootstrap replicates; 0 for none.
        threshold: of the replicates' `f1_at_threshold`, a multiple of 1/1000; None for none.
        rated: whether rated segments are counted instead of videos. Only (segment, label) pairs with a rating count.

    Example:
        >>> metrics = VideoMetrics(classes=3)
        >>> metrics.update(np.array([[0.9, 0.6, 0.1]]), np.array([[1, 0, 0]]))
        >>> scores = metrics.scores()
        >>> scores["precision"], scores["recall"]
        (0.5, 1.0)
    """

    def __init__(self, classes: int, replicates: int = 0, threshold: float | None = None, rated: bool = False) -> None:
        self.classes, self.threshold, self.rated = classes, threshold, rated
        self.videos = 0
        self.nans = 0
        self.true_positives, self.predicted, self.actual = (np.zeros(classes, np.int64) for _ in range(3))
        # (video, label) pairs by probability: cell k counts those in (k/1000, (k+1)/1000], and cell 0 also those at 0.
        self.pairs, self.positives = np.zeros(CELLS, np.int64), np.zeros(CELLS, np.int64)
        self.probabilities = np.zeros(CELLS)
        self.ranked = RankedPredictions(classes)
        self.ranked_ratings = MapAtK(classes)
        self.rated_replicates = RatedReplicates(replicates)
        self.perr_sum = 0.0
        self.first_is_right = 0
        # Hits, predictions and labels, videos and those whose best prediction is right, hits and predictions above
        # `threshold`.
        self.replicate_counts = np.zeros((replicates, 7))
        self.replicate_ranks = np.zeros((2, _REPLICATE_PLACES, replicates), np.float32)

    def update(self, probabilities: np.ndarray, labels: np.ndarray, ids: Sequence[bytes] = ()) -> None:
        """Counts videos.

        Args:
            probabilities: float, [videos, classes].
            labels: 0 or 1, same shape; of rated segments below 0 where a label is unknown.
            ids: video ids; only the bootstrap needs them.
        """
        self.count(Outcomes.of(probabilities, labels, ids, self.rated))

    def count(self, outcomes: Outcomes) -> None:
        """Counts videos by the outcomes of their predictions."""
        self.nans += int(outcomes.nans.sum())
        self.videos += len(outcomes.numbers)
        self.pairs += np.bincount(outcomes.cells, outcomes.pairs, minlength=CELLS).astype(np.int64)
        self.probabilities += np.bincount(outcomes.cells, outcomes.probabilities, minlength=CELLS)
        self.positives += np.bincount(outcomes.cells_of_labels(), minlength=CELLS)
        for total, labels in (
            (self.true_positives, outcomes.hits),
            (self.predicted, outcomes.predicted),
            (self.actual, outcomes.actual),
        ):
            total += np.bincount(labels, minlength=self.classes)
        self.first_is_right += int(np.count_nonzero(outcomes.right[:, 0]))
        self.perr_sum += float(_ratio(outcomes.in_time, outcomes.numbers[:, 2]).sum())
        self.ranked.add(outcomes.scores, outcomes.right, outcomes.best)
        if self.rated:
            self.ranked_ratings.add(outcomes.rated_scores, outcomes.rated_holds, outcomes.rated)
        if self.replicate_counts.size:
            self._count_replicates(outcomes)

    def merge(self, other: Self) -> None:
        """Adds the counts of another accumulator: all attributes but the constructor's."""
        for name, count in vars(self).items():
            if isinstance(count, RankedPredictions | MapAtK | RatedReplicates):
                count.merge(getattr(other, name))
            elif name not in ("classes", "threshold", "rated"):
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
        - `map_at_k`, `map_at_k_rated`: of rated segments in place of VIDEO_SCORES, see `MapAtK`.

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
        if self.rated:
            scores |= self.ranked_ratings.means()
            scores = {name: scores[name] for name in score_names(rated=True) if name in scores}
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
        """Some scores of each replicate, float64 [replicates].

        F1, GAP, Hit@1 (of rated segments MAP@K instead) and, with a threshold, `f1_at_threshold`. The n-th draws the
        same videos for every model.
        """
        hits, predicted, actual, videos, first_is_right, hits_above, predicted_above = self.replicate_counts.T
        predictions, hits_ranked = self.replicate_ranks.astype(np.float64)[:, ::-1]
        before = np.cumsum(predictions, axis=0), np.cumsum(hits_ranked, axis=0)
        # Precision in the middle of a place: counts before it and half of its own.
        at = _ratio(before[1] - hits_ranked / 2, before[0] - predictions / 2)
        scores = {
            "f1": _ratio(2 * hits, predicted + actual),
            "gap": _ratio((at * hits_ranked).sum(axis=0), actual),
            "hit_at_1": _ratio(first_is_right, videos),
        }
        if self.rated:
            del scores["hit_at_1"]
            scores[MAP_AT_K] = self.rated_replicates.means()
        if self.threshold is not None:
            scores["f1_at_threshold"] = _ratio(2 * hits_above, predicted_above + actual)
        return scores

    def _count_replicates(self, outcomes: Outcomes) -> None:
        videos, hits = len(outcomes.numbers), outcomes.right
        weights = poisson_weights(outcomes.ids, len(self.replicate_counts))
        above = np.zeros((videos, 2)) if self.threshold is None else outcomes.decisions(round(self.threshold * CELLS))
        counts = np.column_stack([outcomes.numbers[:, :3], np.ones(videos), hits[:, 0], above])
        self.replicate_counts += weights.T @ counts
        if self.rated:
            of_ratings = np.repeat(weights, outcomes.numbers[:, 4], axis=0)
            self.rated_replicates.add(outcomes.rated, outcomes.rated_scores, outcomes.rated_holds, of_ratings)
        places = np.minimum(
            ((clipped_logits(outcomes.scores) - LOWEST) / _REPLICATE_STEP).astype(np.int64), _REPLICATE_PLACES - 1
        )
        used, place = np.unique(places, return_inverse=True)
        cells = place.reshape(places.shape) * videos + np.arange(videos)[:, None]
        for total, of in zip(self.replicate_ranks, (None, hits), strict=True):
            counted = np.bincount(cells.ravel(), None if of is None else of.ravel(), used.size * videos)
            total[used] += counted.reshape(used.size, videos).astype(np.float32) @ weights

    def _calibration_error(self) -> float:
        bins = (CALIBRATION_BINS, CELLS // CALIBRATION_BINS)
        gaps = np.abs((self.positives - self.probabilities).reshape(bins).sum(axis=1))
        return float(_ratio(gaps.sum(), self.pairs.sum()))


def _ratio(part: np.ndarray | float, whole: np.ndarray | float) -> np.ndarray:
    """The quotient, 0 where the whole is 0."""
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    return np.divide(part, whole, out=np.zeros(np.broadcast_shapes(part.shape, whole.shape)), where=whole != 0)


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else 0.0
