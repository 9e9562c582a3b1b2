"""What scores do not show: labels that are confused, and single videos."""

import hashlib
import heapq
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, product
from typing import Self

import numpy as np

from models.metrics.outcomes import THRESHOLD, Outcomes

# Videos kept in the sample and among the worst, and predictions shown for each.
SHOWN, PREDICTIONS = 12, 5

# With more pairs of confused labels, the rarer half is dropped: 100,000 take 17 MB, pages show a few dozen.
MOST_PAIRS = 100_000


@dataclass(frozen=True, order=True)
class Video:
    """A video with its labels and best predictions as (label id, probability).

    Attributes:
        error: sum over labels of the distance between 0 or 1 and the probability.
        id: YouTube-8M's id of the video.
        labels: those of the record, with their probabilities.
        predictions: the five most probable labels, the best first.
    """

    error: float
    id: str
    labels: tuple[tuple[int, float], ...]
    predictions: tuple[tuple[int, float], ...]


class Findings:
    """Counts confused labels and keeps some videos: a sample, which depends on the ids alone, and the worst.

    Two labels are confused in a video that lacks a prediction of the one and has the other, which is wrong, among its
    five best predictions.

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
        """Adds videos.

        Args:
            probabilities: float, [videos, C].
            labels: 0 or 1, same shape.
            ids: of the videos.
        """
        self.count(Outcomes.of(probabilities, labels, ids))

    def count(self, outcomes: Outcomes) -> None:
        """Adds videos by the outcomes of their predictions; the outcomes have the ids of the videos."""
        actual = iter(zip(outcomes.actual.tolist(), outcomes.actual_scores.tolist(), strict=True))
        best = (array[:, :PREDICTIONS].tolist() for array in (outcomes.best, outcomes.scores, outcomes.right))
        videos = zip(outcomes.ids, outcomes.numbers[:, 2].tolist(), outcomes.errors.tolist(), *best, strict=True)
        for video_id, count, error, best_labels, scores, right in videos:
            labels = tuple(islice(actual, count))
            missed = [label for label, score in labels if score <= THRESHOLD]
            wrong = [
                label
                for label, score, hit in zip(best_labels, scores, right, strict=True)
                if score > THRESHOLD and not hit
            ]
            self._pairs.update(product(missed, wrong))
            name = video_id.decode("utf-8", "backslashreplace")
            sampled = len(self._sample) < SHOWN or _draw(name) < _draw(self._sample[-1].id)
            if sampled or len(self._worst) < SHOWN or error > self._worst[-1].error:
                predictions = zip(best_labels, scores, strict=True)
                # Of a rated segment the probabilities of labels without a rating are 0.
                shown = tuple(pair for pair in predictions if pair[1] > 0 or not outcomes.rated.size)
                self._keep([Video(error, name, labels, shown)])
        self._drop_rare_pairs()

    def merge(self, other: Self) -> None:
        """Adds the findings of another accumulator."""
        self._pairs.update(other._pairs)
        self._drop_rare_pairs()
        self._keep([*other._sample, *other._worst])

    def confusions(self, count: int) -> list[tuple[int, int, int]]:
        """The most frequent (missed label, wrong label among the video's five best predictions, number of videos)."""
        ranked = sorted(self._pairs.items(), key=lambda item: (-item[1], item[0]))
        return [(missed, wrong, videos) for (missed, wrong), videos in ranked[:count]]

    def sample(self) -> list[Video]:
        """Up to 12 videos, drawn by a hash of their ids."""
        return list(self._sample)

    def worst(self) -> list[Video]:
        """Up to 12 videos with the largest errors, the worst first."""
        return list(self._worst)

    def _keep(self, videos: Sequence[Video]) -> None:
        self._sample = heapq.nsmallest(SHOWN, {*self._sample, *videos}, key=lambda video: _draw(video.id))
        self._worst = heapq.nlargest(SHOWN, {*self._worst, *videos})

    def _drop_rare_pairs(self) -> None:
        if len(self._pairs) > MOST_PAIRS:
            self._pairs = Counter(dict(self._pairs.most_common(MOST_PAIRS // 2)))


def _draw(video_id: str) -> bytes:
    """A pseudo-random number that depends on the id alone."""
    return hashlib.blake2b(video_id.encode(), digest_size=8).digest()
