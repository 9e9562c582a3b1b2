"""The best segments of each label among any number of segments, in bounded memory."""

from array import array
from collections.abc import Iterator

import numpy as np

from models.metrics.map_at_k import MOST_RANKED

# Room for new segments of a label, as a share of those that are kept: more room, fewer selections.
_ROOM = 1 / 8

# Segments whose names are kept before the unused ones are dropped.
_FEWEST_NAMES = 2**20


class BestSegments:
    """Collects segments and keeps the best of each label; among equal scores those that were added first.

    Memory is bounded by `most` times `labels`, 9 bytes each, and at most three times as many names of segments; it
    grows no further with the number of segments.

    Args:
        labels: number of labels.
        most: segments that are kept for each label.

    Example:
        >>> best = BestSegments(labels=2, most=2)
        >>> best.add(b"aaaa", [0, 5, 10], np.array([[0.1, 0.6], [0.3, 0.6], [0.2, 0.7]], np.float32))
        >>> list(best.of(0)), list(best.of(1))
        ([(b'aaaa', 5), (b'aaaa', 10)], [(b'aaaa', 10), (b'aaaa', 0)])
    """

    def __init__(self, labels: int, most: int = MOST_RANKED) -> None:
        self.most = most
        self._room = max(int(most * _ROOM), 64)
        # Memory of a row is taken when it is first written to.
        self._scores = np.empty((labels, most + self._room), np.float32)
        self._numbers = np.empty(self._scores.shape, np.int32)
        self._filled = np.zeros(labels, np.int64)
        # A score that is not above it is not among the best.
        self._bound = np.full(labels, -np.inf, np.float32)
        # By the number of a segment: the id of its video, and its start.
        self._ids: list[bytes] = []
        self._starts = array("H")
        self._most_names = _FEWEST_NAMES

    def add(self, video_id: bytes, starts: list[int], scores: np.ndarray) -> None:
        """Adds segments of a video.

        Args:
            video_id: of the video.
            starts: first frames of the segments.
            scores: float32 [segments, labels]; a NaN is not ranked.
        """
        for first in range(0, len(starts), self._room):
            some = slice(first, first + self._room)
            self._add(video_id, starts[some], scores[some])

    def of(self, label: int) -> Iterator[tuple[bytes, int]]:
        """The best segments of a label, best first: the id of the video, and the start."""
        self._select(label)
        scores = self._scores[label, : self._filled[label]]
        for number in self._numbers[label, np.argsort(-scores, kind="stable")].tolist():
            yield self._ids[number], self._starts[number]

    def _add(self, video_id: bytes, starts: list[int], scores: np.ndarray) -> None:
        if len(self._ids) + len(starts) > self._most_names:
            self._drop_unused_names()
        label, segment = np.nonzero(self._bound[:, None] < scores.T)
        counts = np.bincount(label, minlength=len(self._filled))
        for full in np.flatnonzero(self._filled + counts > self._scores.shape[1]):
            self._select(int(full))
        before = np.cumsum(counts) - counts
        place = self._filled[label] + np.arange(len(label)) - before[label]
        self._scores[label, place] = scores[segment, label]
        self._numbers[label, place] = len(self._ids) + segment
        self._filled += counts
        self._ids += [video_id] * len(starts)
        self._starts.extend(starts)

    def _select(self, label: int) -> None:
        """Keeps the best of a label's segments, in the order in which they were added."""
        filled, most = int(self._filled[label]), self.most
        if filled <= most:
            return
        scores, numbers = self._scores[label, :filled], self._numbers[label, :filled]
        last = np.partition(scores, filled - most)[filled - most]
        above, equal = scores > last, np.flatnonzero(scores == last)
        above[equal[: most - np.count_nonzero(above)]] = True
        scores[:most], numbers[:most] = scores[above], numbers[above]
        self._filled[label], self._bound[label] = most, last

    def _drop_unused_names(self) -> None:
        """Renumbers the segments that are among the best of a label; forgets the names of the others."""
        used = np.zeros(len(self._ids), bool)
        for label, filled in enumerate(self._filled.tolist()):
            used[self._numbers[label, :filled]] = True
        new = (np.cumsum(used) - 1).astype(np.int32)
        for label, filled in enumerate(self._filled.tolist()):
            self._numbers[label, :filled] = new[self._numbers[label, :filled]]
        kept = np.flatnonzero(used)
        self._ids = [self._ids[number] for number in kept.tolist()]
        self._starts = array("H", np.frombuffer(self._starts, np.uint16)[kept].tobytes())
        self._most_names = max(_FEWEST_NAMES, 2 * len(self._ids))
