"""MAP@K of rated segments: the score of the YouTube-8M challenge of 2019, in bounded memory."""

from typing import Self

import numpy as np

from models.metrics.ranked_predictions import precision_sums

# K of the challenge.
MOST_RANKED = 100_000

# Ratings that are collected before they are sorted, 28 bytes each.
_WAITING = 2**18

# The names of the scores.
MAP_AT_K, MAP_AT_K_RATED = "map_at_k", "map_at_k_rated"


class MapAtK:
    """Ranks the rated segments of each label by their scores for it.

    The average precision of a label is the sum of the precisions at the ranks of its positive ratings, up to rank K,
    divided by their number. Pairs of segment and label without a rating count nowhere. For equal scores it is the mean
    over all their orders. At most K different scores a label are kept, whatever the number of ratings, and results do
    not depend on the order of the ratings. One NaN among the scores makes the results NaN.

    Args:
        labels: number of labels.
        k: segments that are ranked for each label.

    Attributes:
        ratings: int64 [labels], ratings of each label.
        positives: int64 [labels], those by which the label holds in the segment.

    Example:
        >>> ranked = MapAtK(labels=3)
        >>> ranked.add(np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, False, True, False]), np.array([0, 0, 0, 1]))
        >>> ranked.average_precisions().round(3)  # (1/1 + 2/3) / 2 for the first label
        array([0.833, 0.   , 0.   ])
        >>> {name: round(score, 3) for name, score in ranked.means().items()}
        {'map_at_k': 0.833, 'map_at_k_rated': 0.417}
    """

    def __init__(self, labels: int, k: int = MOST_RANKED) -> None:
        self.labels, self.k = labels, k
        self.ratings, self.positives = np.zeros(labels, np.int64), np.zeros(labels, np.int64)
        self._has_nan = False
        # Ranked ones first: label, score, number of ratings with this score, and how many of them are positive.
        self._groups = [_no_groups()]
        self._waiting = 0

    def add(self, scores: np.ndarray, holds: np.ndarray, labels: np.ndarray) -> None:
        """Adds ratings.

        Args:
            scores: of the rated segments for the rated labels, float [ratings].
            holds: whether the label holds in the segment, bool, same shape.
            labels: ids that are rated, same shape.
        """
        labels, hits = np.asarray(labels, np.int32), np.asarray(holds).astype(np.int32)
        self.ratings += np.bincount(labels, minlength=self.labels)
        self.positives += np.bincount(labels[hits > 0], minlength=self.labels)
        scores = np.asarray(scores, np.float64)
        self._has_nan |= bool(np.isnan(scores).any())
        self._wait((labels, scores, np.ones(len(labels), np.int64), hits.astype(np.int64)))

    def merge(self, other: Self) -> None:
        """Adds the ratings of another accumulator of as many labels and the same K."""
        self.ratings += other.ratings
        self.positives += other.positives
        self._has_nan |= other._has_nan
        for groups in other._groups:
            self._wait(groups)

    def average_precisions(self) -> np.ndarray:
        """Of each label, float64 [labels]; 0 for labels without a positive rating."""
        label, _, ratings, hits = self._ranked()
        # `precision_sums` takes them from the lowest score up.
        sums = precision_sums(label[::-1], ratings[::-1], hits[::-1], self.labels, self.k)
        return np.full(self.labels, np.nan) if self._has_nan else sums / np.maximum(self.positives, 1)

    def means(self) -> dict[str, float]:
        """The mean over the labels with a positive rating, as published, and that over all rated labels.

        Rated labels without a positive rating count as 0 in the latter. Both are 0 without any such label.
        """
        precisions = self.average_precisions()
        return {
            name: float(precisions[counted].mean()) if counted.any() else 0.0
            for name, counted in ((MAP_AT_K, self.positives > 0), (MAP_AT_K_RATED, self.ratings > 0))
        }

    def __getstate__(self) -> dict[str, object]:
        self._ranked()  # fewer
        return self.__dict__

    def _wait(self, groups: tuple[np.ndarray, ...]) -> None:
        self._groups.append(groups)
        self._waiting += len(groups[0])
        # In proportion to what is kept, so that sorting takes n log n in all.
        if self._waiting > max(_WAITING, len(self._groups[0][0]) // 2):
            self._ranked()

    def _ranked(self) -> tuple[np.ndarray, ...]:
        """All groups by label, best score first, without those that lie beyond rank K."""
        if self._waiting:
            label, score, ratings, hits = (np.concatenate(columns) for columns in zip(*self._groups, strict=True))
            order = np.lexsort((-score, label))
            label, score, ratings, hits = label[order], score[order], ratings[order], hits[order]
            first = np.flatnonzero(np.append(True, (np.diff(label) != 0) | (np.diff(score) != 0)))
            label, score = label[first], score[first]
            ratings, hits = np.add.reduceat(ratings, first), np.add.reduceat(hits, first)
            before = np.cumsum(ratings) - ratings
            before -= before[np.searchsorted(label, label)]  # of the same label
            kept = before < self.k
            self._groups, self._waiting = [(label[kept], score[kept], ratings[kept], hits[kept])], 0
        return self._groups[0]


def _no_groups() -> tuple[np.ndarray, ...]:
    return np.zeros(0, np.int32), np.zeros(0), np.zeros(0, np.int64), np.zeros(0, np.int64)
