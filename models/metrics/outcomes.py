"""What came of predictions: all that the metrics need of some videos, less than a probability for each label."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from typing import Self

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


@dataclass(frozen=True, eq=False)
class Outcomes:
    """Counts, labels and best predictions of V videos: computed once, however many accumulators count them.

    Where a video has several values in a flat array, they are adjacent, and videos are in the order of their ids.

    Attributes:
        ids: of the videos, if they were given.
        numbers: of hits, predicted labels, labels, cells and rated labels of each video, int64 [V, 5].
        hits, predicted, actual: their label ids, int64, flat.
        actual_scores: the probabilities of `actual`, float32.
        cells: cells with (video, label) pairs, int64, flat; cell k has those with a probability in
            (k/1000, (k+1)/1000], and cell 0 also those at 0.
        pairs, probabilities: number of pairs in each of `cells`, int64, and the sum of their probabilities, float64.
        best: the 20 best labels of each video, int64 [V, 20], the best first.
        scores, right: the probability of each, float32, and whether it is right, bool; same shape.
        in_time: number of right labels among the n best of a video with n labels, int64 [V].
        errors: sum over labels of the distance between 0 or 1 and the probability, float64 [V].
        nans: number of probabilities that are NaN, int64 [V]; they are counted as 0.
        rated, rated_scores, rated_holds: of rated segments the ids of labels with a rating, int64, flat, their
            probabilities, float32, and whether each holds, bool; pairs of other labels are left out above.
    """

    ids: tuple[bytes, ...]
    numbers: np.ndarray
    hits: np.ndarray
    predicted: np.ndarray
    actual: np.ndarray
    actual_scores: np.ndarray
    cells: np.ndarray
    pairs: np.ndarray
    probabilities: np.ndarray
    best: np.ndarray
    scores: np.ndarray
    right: np.ndarray
    in_time: np.ndarray
    errors: np.ndarray
    nans: np.ndarray
    rated: np.ndarray
    rated_scores: np.ndarray
    rated_holds: np.ndarray

    @classmethod
    def of(cls, probabilities: np.ndarray, labels: np.ndarray, ids: Iterable[bytes] = (), rated: bool = False) -> Self:
        """The outcomes of predictions.

        Args:
            probabilities: float, [videos, classes]; in 0 ... 1.
            labels: 0 or 1, same shape; of rated segments below 0 where a label is unknown.
            ids: of the videos; only the bootstrap and `Findings` need them.
            rated: whether these are rated segments.

        Example:
            >>> Outcomes.of(np.array([[0.9, 0.6, 0.1]]), np.array([[1, 0, 0]])).numbers.tolist()
            [[1, 2, 1, 3, 0]]
        """
        probabilities, labels = np.ascontiguousarray(probabilities, np.float32), np.asarray(labels)
        truth = labels > 0
        videos, classes = probabilities.shape
        counted, rated_pairs = np.full(videos, classes), np.zeros(0, np.int64)
        if rated:
            unknown = labels < 0
            # A pair with the probability 0 that has no label changes nothing but the number of pairs.
            probabilities = np.where(unknown, np.float32(0), probabilities)
            rated_pairs, counted = np.flatnonzero(~unknown), classes - np.count_nonzero(unknown, axis=1)
        totals, nans = probabilities.sum(axis=1, dtype=np.float64), np.zeros(videos, np.int64)
        if np.isnan(totals).any():
            nans += np.isnan(probabilities).sum(axis=1)
            probabilities = np.nan_to_num(probabilities)
            totals = probabilities.sum(axis=1, dtype=np.float64)
        flat, flat_truth = probabilities.ravel(), truth.ravel()

        # With a trained model nearly all pairs are in cell 0, whose count is the rest.
        above = np.flatnonzero(flat >= np.float32(1 / CELLS))
        values = flat[above].astype(np.float64)
        at = above // classes * CELLS + _cells(values)
        pairs = np.bincount(at, minlength=videos * CELLS).reshape(videos, CELLS)
        sums = np.bincount(at, values, minlength=pairs.size).astype(np.float64).reshape(videos, CELLS)
        pairs[:, 0] += counted - pairs.sum(axis=1)
        sums[:, 0] += totals - sums.sum(axis=1)
        used = np.flatnonzero(pairs)

        predicted, actual = above[values > THRESHOLD], np.flatnonzero(flat_truth)
        places = predicted[flat_truth[predicted]], predicted, actual
        rows = [*(place // classes for place in places), used // CELLS, rated_pairs // classes]
        numbers = np.stack([np.bincount(row, minlength=videos) for row in rows], axis=1)
        actual_scores, wanted = flat[actual], numbers[:, 2]

        best = best_labels(probabilities, max(TOP, int(wanted.max(initial=0))))
        right = np.take_along_axis(truth, best, axis=1)
        in_time = right & (np.arange(right.shape[1]) < wanted[:, None])
        hits, predicted, actual = (place % classes for place in places)
        return cls(
            tuple(ids),
            numbers,
            hits,
            predicted,
            actual,
            actual_scores,
            cells=used % CELLS,
            pairs=pairs.ravel()[used],
            probabilities=sums.ravel()[used],
            best=best[:, :TOP],
            scores=np.take_along_axis(probabilities, best[:, :TOP], axis=1),
            right=right[:, :TOP],
            in_time=np.count_nonzero(in_time, axis=1),
            # 1 - p instead of p for true labels.
            errors=totals + np.bincount(rows[2], 1 - 2 * actual_scores.astype(np.float64), minlength=videos),
            nans=nans,
            rated=rated_pairs % classes,
            rated_scores=flat[rated_pairs],
            rated_holds=flat_truth[rated_pairs],
        )

    @classmethod
    def join(cls, parts: Iterable[Self]) -> Self:
        """The outcomes of the videos of one or more parts, in their order."""
        ids, *arrays = zip(*(vars(part).values() for part in parts), strict=True)
        return cls(tuple(chain.from_iterable(ids)), *map(np.concatenate, arrays))

    def split(self) -> list[Self]:
        """The outcomes of each video; they share no memory with those of others."""
        _, *attributes = vars(self).values()
        ends = np.cumsum(self.numbers, axis=0)
        starts = ends - self.numbers
        split = []
        for video, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
            one, hits, predicted, actual, cells, rated = map(slice, (video, *start), (video + 1, *end))
            # As the attributes are ordered.
            of_video = (one,) * 6
            places = (one, hits, predicted, actual, actual, cells, cells, cells, *of_video, rated, rated, rated)
            arrays = (array[place].copy() for array, place in zip(attributes, places, strict=True))
            split.append(type(self)(self.ids[one], *arrays))
        return split

    def decisions(self, cell: int) -> np.ndarray:
        """Hits and predicted labels of each video above the threshold `cell` / 1000, float64 [V, 2]."""
        rows, videos = np.arange(len(self.numbers)), len(self.numbers)
        of_labels, of_cells = (np.repeat(rows, self.numbers[:, column]) for column in (2, 3))
        hits = np.bincount(of_labels, self.cells_of_labels() >= cell, minlength=videos)
        predicted = np.bincount(of_cells, self.pairs * (self.cells >= cell), minlength=videos)
        return np.stack([hits, predicted], axis=1)

    def cells_of_labels(self) -> np.ndarray:
        """The cell of each of `actual`, int64."""
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
