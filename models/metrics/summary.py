"""What all metrics need of some videos, in much fewer bytes than a probability for each label."""

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np

# A label is predicted strictly above it, as in the thesis (section 3.5) and Keras.
THRESHOLD = 0.5

# GAP and mAP use the 20 best predictions of a video, as the YouTube-8M challenges did.
TOP = 20

# Thresholds are multiples of 1/1000.
CELLS = 1000

# Labels are compared in this many groups for each of the best that are wanted: with fewer groups more labels are sorted
# in vain, with more their best take longer.
_GROUPS = 4


class Summary(NamedTuple):
    """Counts, labels and best predictions of V videos, computed once however many accumulators count them.

    Videos with a NaN among their probabilities are left out.

    Attributes:
        ids: of the videos, if they were given.
        nans: number of probabilities that are NaN.
        pairs: number of (video, label) pairs by probability, int64 [1000 at most]: cell k counts those in
            (k/1000, (k+1)/1000], and cell 0 also those at 0.
        probabilities: sum of the probabilities in each cell, float64, same shape.
        numbers: of hits, predicted labels and labels of each video, int64 [V, 3].
        hits, predicted, actual: their label ids, int64, those of a video after those of the one before.
        actual_scores: the probability of each of `actual`, float32.
        best: the 20 best labels of each video, int64 [V, 20], the best first.
        scores, right: the probability of each, float32, and whether it is right, bool; same shape.
        in_time: number of right labels among the n best of a video with n labels, int64 [V].
        errors: sum over labels of the distance between 0 or 1 and the probability, float64 [V].
    """

    ids: tuple[bytes, ...]
    nans: int
    pairs: np.ndarray
    probabilities: np.ndarray
    numbers: np.ndarray
    hits: np.ndarray
    predicted: np.ndarray
    actual: np.ndarray
    actual_scores: np.ndarray
    best: np.ndarray
    scores: np.ndarray
    right: np.ndarray
    in_time: np.ndarray
    errors: np.ndarray

    @classmethod
    def of(cls, probabilities: np.ndarray, labels: np.ndarray, ids: Sequence[bytes] = ()) -> Self:
        """Summarizes videos.

        Args:
            probabilities: float, [videos, classes]; in 0 ... 1.
            labels: 0 or 1, same shape.
            ids: of the videos; only the bootstrap and `Findings` need them.

        Example:
            >>> Summary.of(np.array([[0.9, 0.6, 0.1]]), np.array([[1, 0, 0]])).numbers.tolist()
            [[1, 2, 1]]
        """
        probabilities = np.ascontiguousarray(probabilities, np.float32)
        truth = np.asarray(labels) > 0
        nans, totals = 0, probabilities.sum(axis=1, dtype=np.float64)
        if np.isnan(totals).any():
            valid = ~np.isnan(totals)
            nans = int(np.isnan(probabilities).sum())
            probabilities, truth, totals = probabilities[valid], truth[valid], totals[valid]
            ids = [video_id for video_id, kept in zip(ids, valid, strict=False) if kept]
        videos, classes = probabilities.shape
        flat, flat_truth = probabilities.ravel(), truth.ravel()

        # With a trained model nearly all pairs are in cell 0, whose count is the rest.
        above = np.flatnonzero(flat >= np.float32(1 / CELLS))
        values = flat[above].astype(np.float64)
        cells = _cells(values)
        pairs = np.bincount(cells, minlength=1)
        sums = np.bincount(cells, values, minlength=1).astype(np.float64)  # NumPy's sum of nothing is an integer
        pairs[0] += flat.size - cells.size
        sums[0] += totals.sum() - values.sum()

        predicted, actual = above[values > THRESHOLD], np.flatnonzero(flat_truth)
        places = predicted[flat_truth[predicted]], predicted, actual
        numbers = np.stack([np.bincount(place // classes, minlength=videos) for place in places], axis=1)
        actual_scores, wanted = flat[actual], numbers[:, 2]
        # 1 - p instead of p for the true ones.
        errors = totals + np.bincount(actual // classes, 1 - 2 * actual_scores.astype(np.float64), minlength=videos)

        best = best_labels(probabilities, max(TOP, int(wanted.max(initial=0))))
        right = np.take_along_axis(truth, best, axis=1)
        in_time = np.count_nonzero(right & (np.arange(right.shape[1]) < wanted[:, None]), axis=1)
        best, right = best[:, :TOP], right[:, :TOP]
        scores = np.take_along_axis(probabilities, best, axis=1)
        return cls(
            tuple(ids),
            nans,
            pairs,
            sums,
            numbers,
            *(place % classes for place in places),
            actual_scores,
            best,
            scores,
            right,
            in_time,
            errors,
        )

    @classmethod
    def join(cls, summaries: Sequence[Self]) -> Self:
        """The summary of all videos of one or more summaries, in their order."""
        ids, nans, pairs, probabilities, *others = zip(*summaries, strict=True)
        joined = (np.concatenate(arrays) for arrays in others)
        return cls(tuple(i for part in ids for i in part), sum(nans), _sum(pairs), _sum(probabilities), *joined)

    def cells_of_labels(self) -> np.ndarray:
        """The cell of each true (video, label) pair, int64, in the order of `actual`."""
        return _cells(self.actual_scores.astype(np.float64))


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
    probabilities = np.ascontiguousarray(probabilities, np.float32)
    videos, classes = probabilities.shape
    count = min(count, classes)
    groups = _GROUPS * count
    in_group = classes // groups if groups else 0
    if in_group > 1:
        # The worst of the `count` best groups has `count` labels that are not worse than its best.
        highest = probabilities[:, : groups * in_group].reshape(videos, in_group, groups).max(axis=1)
        lowest = np.partition(highest, groups - count, axis=1)[:, groups - count]
        places = np.flatnonzero(probabilities >= lowest[:, None])
    else:
        places = np.arange(probabilities.size)
    rows, labels = places // max(classes, 1), places % max(classes, 1)
    order = np.lexsort((labels, -probabilities.ravel()[places], rows))
    starts = np.searchsorted(rows, np.arange(videos))
    return labels[order[starts[:, None] + np.arange(count)]]


def _cells(probabilities: np.ndarray) -> np.ndarray:
    return np.clip(np.ceil(probabilities * CELLS).astype(np.int64) - 1, 0, CELLS - 1)


def _sum(counts: Sequence[np.ndarray]) -> np.ndarray:
    """The sum of arrays, the shorter ones continued by zeros."""
    total = np.zeros(max(part.size for part in counts), counts[0].dtype)
    for part in counts:
        total[: part.size] += part
    return total
