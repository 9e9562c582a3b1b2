"""What to look at beyond scores: labels that are taken for one another, and single videos."""

import hashlib
import heapq
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Self

import numpy as np

from models.metrics.video_metrics import THRESHOLD, best_labels

# Videos kept of each kind, and predictions shown of each.
SHOWN, PREDICTIONS = 12, 5

# Above it the rarer half of the confused pairs is forgotten: 100,000 pairs take 17 MB, pages show the first dozens.
MOST_PAIRS = 100_000


@dataclass(frozen=True, order=True)
class Video:
    """A video, its labels and its best predictions, each as (label id, probability); `error` is sum_c |y_c - p_c|."""

    error: float
    id: str
    labels: tuple[tuple[int, float], ...]
    predictions: tuple[tuple[int, float], ...]


class Findings:
    """Counts confused labels and keeps some videos: a sample, which follows from the ids alone, and the worst ones.

    Example:
        >>> findings = Findings()
        >>> findings.update(np.array([[0.1, 0.9]]), np.array([[1, 0]]), [b"abcd"])
        >>> findings.confusions(1)  # label 0 missed, label 1 predicted, in one video
        [(0, 1, 1)]
    """

    def __init__(self) -> None:
        self._pairs: Counter[tuple[int, int]] = Counter()
        self._sample: list[Video] = []  # by draw
        self._worst: list[Video] = []  # the worst first

    def update(self, probabilities: np.ndarray, labels: np.ndarray, ids: Sequence[bytes]) -> None:
        """Looks at videos.

        Args:
            probabilities: float, [videos, C].
            labels: 0 or 1, same shape.
            ids: of the videos.
        """
        truth, chosen = np.asarray(labels) > 0, probabilities > THRESHOLD
        errors = np.abs(truth - np.asarray(probabilities, np.float64)).sum(axis=1)
        best = best_labels(probabilities, PREDICTIONS)
        for place, video_id in enumerate(ids):
            missed = np.flatnonzero(truth[place] & ~chosen[place]).tolist()
            wrong = best[place][chosen[place, best[place]] & ~truth[place, best[place]]].tolist()
            self._pairs.update(product(missed, wrong))
            name = video_id.decode("utf-8", "backslashreplace")
            sampled = len(self._sample) < SHOWN or _draw(name) < _draw(self._sample[-1].id)
            if sampled or len(self._worst) < SHOWN or errors[place] > self._worst[-1].error:
                of_labels, of_best = (
                    tuple((int(label), float(probabilities[place, label])) for label in found)
                    for found in (np.flatnonzero(truth[place]), best[place])
                )
                self._keep([Video(float(errors[place]), name, of_labels, of_best)])
        self._forget_rare_pairs()

    def merge(self, other: Self) -> None:
        """Adds what another has found."""
        self._pairs.update(other._pairs)
        self._forget_rare_pairs()
        self._keep([*other._sample, *other._worst])

    def confusions(self, count: int) -> list[tuple[int, int, int]]:
        """The most frequent (missed label, wrong one of the same video's five best predictions, videos)."""
        ranked = sorted(self._pairs.items(), key=lambda item: (-item[1], item[0]))
        return [(missed, wrong, videos) for (missed, wrong), videos in ranked[:count]]

    def sample(self) -> list[Video]:
        """Up to 12 videos, as good as random."""
        return list(self._sample)

    def worst(self) -> list[Video]:
        """Up to 12 videos of the largest errors, the worst first."""
        return list(self._worst)

    def _keep(self, videos: Sequence[Video]) -> None:
        self._sample = heapq.nsmallest(SHOWN, {*self._sample, *videos}, key=lambda video: _draw(video.id))
        self._worst = heapq.nlargest(SHOWN, {*self._worst, *videos})

    def _forget_rare_pairs(self) -> None:
        if len(self._pairs) > MOST_PAIRS:
            self._pairs = Counter(dict(self._pairs.most_common(MOST_PAIRS // 2)))


def _draw(video_id: str) -> bytes:
    """A number that is as good as random but follows from the id."""
    return hashlib.blake2b(video_id.encode(), digest_size=8).digest()
