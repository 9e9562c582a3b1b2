"""Predictions ranked by their scores in bounded memory, for average precision."""

from typing import Self

import numpy as np
from scipy.special import digamma

# Logits are clipped to this range: below lie probabilities under 7e-13, above only 1 (the largest float32 below 1 has a
# logit of 16.6).
LOWEST, HIGHEST = -28.0, 20.0

# The finest step of a logit: those of different float32 probabilities differ by at least 6e-8, so none share a place.
FINEST_STEP = 2.0**-26

# Places kept, 24 bytes each; above this, neighbours are joined. Steps of 1/1024 of a logit, 49,152 places, keep GAP@20
# exact to 2e-5. With 3862 labels and 100,000 videos, the mean of average precisions is off by 2e-5 with a million
# places, by 3e-4 with a quarter of them (benchmarks/ranked_predictions.py).
CAPACITY, CAPACITY_BY_LABEL = 2**16, 2**20

_SCORE_BITS = 32

# Predictions counted at once, and groups whose precisions are computed at once: each takes about 5 MB.
_PREDICTIONS_AT_ONCE, _GROUPS_AT_ONCE = 2**16, 256


class RankedPredictions:
    """Ranks predictions, among all (for GAP) and among those of the same label (for mAP).

    Up to a million predictions are stored in 8 bytes each; more are counted by score. Memory is bounded whatever the
    number of predictions, and results do not depend on their order.

    Args:
        labels: number of labels.

    Example:
        >>> ranked = RankedPredictions(labels=2)
        >>> ranked.add(np.array([0.9, 0.6]), np.array([False, True]), np.array([0, 1]))
        >>> ranked.precision_sums()  # the hit is second among all, first of its label
        (0.5, array([0., 1.]))
    """

    def __init__(self, labels: int) -> None:
        self.labels = labels
        self._together, self._by_label = RankedHits(CAPACITY), RankedHits(CAPACITY_BY_LABEL)
        # The first `_waiting_size` wait to be counted. From the highest bit: label, `_SCORE_BITS` of score, hit.
        self._waiting = np.zeros(0, np.int64)
        self._waiting_size = 0

    def add(self, scores: np.ndarray, hits: np.ndarray, labels: np.ndarray) -> None:
        """Adds predictions.

        Args:
            scores: probabilities, any shape.
            hits: whether each is right, bool, same shape.
            labels: whole numbers below the number of labels, same shape.
        """
        keys = (np.asarray(labels, np.int64) << _SCORE_BITS) + places(scores)
        self._wait(((keys << 1) + hits).ravel())

    def add_repeated(self, scores: np.ndarray, hits: np.ndarray, labels: np.ndarray, times: int) -> None:
        """Adds each prediction several times.

        Args:
            scores: probabilities, [predictions].
            hits: how often each is right, int64, same shape.
            labels: as for `add`, same shape.
            times: how often each is added.
        """
        keys = (np.asarray(labels, np.int64) << _SCORE_BITS) + places(scores)
        order = np.argsort(keys)
        self._rank(keys[order], hits[order], times)

    def merge(self, other: Self) -> None:
        """Adds the predictions of another accumulator."""
        self._together.merge(other._together)
        self._by_label.merge(other._by_label)
        self._wait(other._waiting[: other._waiting_size])

    def precision_sums(self) -> tuple[float, np.ndarray]:
        """Sums of the precisions at the ranks of the hits: among all predictions, and by label as float64 [labels]."""
        self._count()
        [together] = self._together.precision_sums()
        return float(together), self._by_label.precision_sums(self.labels)

    def __getstate__(self) -> dict[str, object]:
        # Sorted predictions compress better.
        return {**self.__dict__, "_waiting": self._sort()}

    def _wait(self, predictions: np.ndarray) -> None:
        size = self._waiting_size + predictions.size
        if size > self._waiting.size:
            grown = np.empty(max(size, 2 * self._waiting.size), np.int64)
            grown[: self._waiting_size] = self._waiting[: self._waiting_size]
            self._waiting = grown
        self._waiting[self._waiting_size : size] = predictions
        self._waiting_size = size
        if size > self._by_label.capacity:
            self._count()

    def _sort(self) -> np.ndarray:
        """Sorts and returns the predictions that are not counted yet."""
        waiting = self._waiting[: self._waiting_size]
        waiting.sort()
        return waiting

    def _count(self) -> None:
        """Counts the waiting predictions."""
        waiting = self._sort()
        for start in range(0, waiting.size, _PREDICTIONS_AT_ONCE):
            part = waiting[start : start + _PREDICTIONS_AT_ONCE]
            self._rank(part >> 1, part & 1)
        self._waiting, self._waiting_size = np.zeros(0, np.int64), 0

    def _rank(self, keys: np.ndarray, hits: np.ndarray, times: int = 1) -> None:
        """Counts predictions, sorted by their keys, each `times` times."""
        self._by_label.count(keys, hits, times)
        scores = keys & (2**_SCORE_BITS - 1)
        order = np.argsort(scores)
        self._together.count(scores[order], hits[order], times)


class RankedHits:
    """Counts predictions and hits (predictions that are right) by group and score.

    Exact up to `capacity` different (group, score) pairs. Beyond, the step between scores is doubled until they fit.

    Args:
        capacity: number of (group, score) pairs kept; at least the number of groups times 48.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._coarseness = 0
        # Sorted; a key holds the group's number above `_SCORE_BITS` bits of score.
        self._keys, self._predictions, self._hits = (np.zeros(0, np.int64) for _ in range(3))

    def count(self, keys: np.ndarray, hits: np.ndarray, times: int = 1) -> None:
        """Counts predictions.

        Args:
            keys: sorted, int64 [predictions]; a group's number in the bits above the 32 bits of `places`.
            hits: how often each is right, int64, same shape.
            times: how often each is counted.
        """
        self._join(*_sum_by_key(_coarsen(keys, self._coarseness), np.full(keys.size, times, np.int64), hits))

    def merge(self, other: Self) -> None:
        """Adds the counts of another accumulator."""
        if self._coarseness < other._coarseness:
            self._make_coarser(other._coarseness - self._coarseness)
        coarse = _coarsen(other._keys, self._coarseness - other._coarseness)
        self._join(*_sum_by_key(coarse, other._predictions, other._hits))

    def precision_sums(self, groups: int = 1) -> np.ndarray:
        """Sum of the precisions at the ranks of the hits of each group, float64 [groups].

        For predictions with equal scores this is the mean over all their orders: with H hits among the N predictions
        before them and h hits among the n equal ones, the j-th is a hit with probability h/n, and its precision is then
        (H + 1 + (j - 1) (h - 1) / (n - 1)) / (N + j).
        """
        sums = np.zeros(groups)
        for first in range(0, groups, _GROUPS_AT_ONCE):
            last = min(first + _GROUPS_AT_ONCE, groups)
            some = slice(*np.searchsorted(self._keys, np.array([first, last]) << _SCORE_BITS))
            group = (self._keys[some] >> _SCORE_BITS) - first
            sums[first:last] = precision_sums(group, self._predictions[some], self._hits[some], last - first)
        return sums

    def _join(self, keys: np.ndarray, predictions: np.ndarray, hits: np.ndarray) -> None:
        """Adds counts of keys, which are sorted and unique."""
        at = np.searchsorted(self._keys, keys)
        known = at < self._keys.size
        known[known] = self._keys[at[known]] == keys[known]
        self._predictions[at[known]] += predictions[known]
        self._hits[at[known]] += hits[known]
        # One after another, so that at most one of the three exists twice at a time.
        at, new = at[~known], ~known
        self._keys = np.insert(self._keys, at, keys[new])
        self._predictions = np.insert(self._predictions, at, predictions[new])
        self._hits = np.insert(self._hits, at, hits[new])
        while self._keys.size > self.capacity:
            self._make_coarser(1)

    def _make_coarser(self, bits: int) -> None:
        self._coarseness += bits
        coarse = _coarsen(self._keys, bits)
        self._keys, self._predictions, self._hits = _sum_by_key(coarse, self._predictions, self._hits)


def clipped_logits(probabilities: np.ndarray) -> np.ndarray:
    """The logits of probabilities, float64, clipped to -28 ... 20."""
    probabilities = np.asarray(probabilities, np.float64)
    with np.errstate(divide="ignore"):
        return np.clip(np.log(probabilities) - np.log1p(-probabilities), LOWEST, HIGHEST)


def places(scores: np.ndarray) -> np.ndarray:
    """The number of steps of 2^-26 between the lowest logit and that of each score, int64; less than 2^32."""
    return ((clipped_logits(scores) - LOWEST) / FINEST_STEP).astype(np.int64)


def _coarsen(keys: np.ndarray, bits: int) -> np.ndarray:
    scores = keys & (2**_SCORE_BITS - 1)
    return keys - scores + (scores >> bits)


def _sum_by_key(keys: np.ndarray, *counts: np.ndarray) -> tuple[np.ndarray, ...]:
    """The unique ones among sorted keys, and the sums of their counts."""
    starts = np.flatnonzero(np.diff(keys, prepend=-1))
    return keys[starts], *(np.add.reduceat(count, starts) if starts.size else count[:0] for count in counts)


def precision_sums(
    group: np.ndarray, predictions: np.ndarray, hits: np.ndarray, groups: int, most: int | None = None
) -> np.ndarray:
    """Sum of the precisions at the ranks of the hits of each group, see `RankedHits.precision_sums`.

    Args:
        group: number of the group of each score, ascending; within a group scores are ascending.
        predictions: number of predictions with this score, same shape.
        hits: how many of them are hits, same shape.
        groups: number of groups.
        most: ranks that count in each group; None: all.

    Returns:
        float64 [groups].
    """
    # From the highest score down; the predictions of a group are adjacent.
    group, n, h = group[::-1], predictions[::-1].astype(np.float64), hits[::-1].astype(np.float64)
    starts = np.concatenate([[0], np.flatnonzero(np.diff(group)) + 1]) if group.size else np.zeros(0, np.int64)
    lengths = np.diff(np.append(starts, group.size))
    before = []
    for counts in (n, h):
        exclusive = np.cumsum(counts) - counts
        before.append(exclusive - np.repeat(exclusive[starts], lengths))
    n_before, h_before = before
    counted = n if most is None else np.clip(most - n_before, 0, n)
    slope = np.where(n > 1, (h - 1) / np.maximum(n - 1, 1), 0.0)
    # Sums over j, up to the number of ranks that count, of 1/(N + j) and of (j - 1)/(N + j).
    inverse = np.where(counted > 1, digamma(n_before + counted + 1) - digamma(n_before + 1), counted / (n_before + 1))
    weighted = counted - (n_before + 1) * inverse
    sums = h / np.maximum(n, 1) * ((h_before + 1) * inverse + slope * weighted)
    return np.bincount(group, sums, minlength=groups)
