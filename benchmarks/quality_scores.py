"""Scores of a multi-label classifier by their definition, in NumPy alone, for one or many draws of the test videos.

Nothing here is shared with models/metrics, so that a mistake there shows as a difference. Probabilities are float32,
[videos, classes].
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

# Predictions of a video that are ranked, as in the YouTube-8M challenges.
TOP = 20

# Replicates that are ranked at a time: 60,000 predictions of each are 25 MB.
_CHUNK = 100

# Scores and costs by their heading in the table, and the scores that are compared.
SCORES = {"f1": "F1", "fitted_f1": "fitted F1", "gap": "GAP", "map": "mAP", "hit_at_1": "Hit@1"}
COSTS = {"seconds": "seconds", "epochs": "epochs", "memory_mb": "MB", "parameters": "parameters"}
COMPARED = ("fitted_f1", "gap", "map")

Cost = Mapping[str, float]


def draws(videos: int, replicates: int, seed: int = 0) -> np.ndarray:
    """How often each replicate draws each video, float32 [replicates + 1, videos]; row 0 has each video once."""
    drawn = np.random.default_rng(seed).multinomial(videos, np.full(videos, 1 / videos), replicates)
    return np.concatenate([np.ones((1, videos)), drawn]).astype(np.float32)


def fit_threshold(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The threshold with the highest micro F1 of all; probabilities above it are predicted.

    Args:
        probabilities: float32, [videos, classes].
        labels: 0 or 1, uint8, same shape.
    """
    hits = np.sort(probabilities[labels > 0])  # F1 is highest just below one of them
    predicted = probabilities.size - np.searchsorted(np.sort(probabilities, axis=None), hits)
    f1 = 2 * np.arange(hits.size, 0, -1) / (predicted + hits.size)
    return float(np.nextafter(hits[f1.argmax()], np.float32(-1)))


class Truth:
    """The labels of the test videos, and the draws of these videos that scores are computed for.

    Args:
        labels: 0 or 1, uint8, [videos, classes].
        draws: how often each draw has each video, float32 whole numbers, [draws, videos].
    """

    def __init__(self, labels: np.ndarray, draws: np.ndarray) -> None:
        self.labels, self.draws = labels, draws
        self._number = draws @ labels.sum(axis=1, dtype=np.float32)
        self._occurring = np.flatnonzero(labels.any(axis=0))
        self._numbers = draws @ labels[:, self._occurring].astype(np.float32)

    def scores(self, probabilities: np.ndarray, threshold: float) -> dict[str, np.ndarray]:
        """All scores, float64 [draws] each.

        - `f1`, `fitted_f1`: micro F1; pairs with a probability above 0.5 and above `threshold` are predicted.
        - `gap`: average precision of the 20 best predictions of each video, all ranked together, of all true labels.
        - `map`: average precision of the same predictions, ranked by label; mean over the labels that a draw has.
        - `hit_at_1`: the share of videos whose best prediction is right.

        Equal probabilities share the mean of their ranks; a video that is drawn twice counts as two equal ones. Of a
        video's equal ones at the 20th place, those of low label ids are ranked.

        Args:
            probabilities: float32, [videos, classes].
            threshold: for `fitted_f1`.

        Raises:
            ValueError: a number is not a probability.
        """
        if not (probabilities.min() >= 0 and probabilities.max() <= 1):  # NaN is neither
            raise ValueError("expected probabilities from 0 to 1")
        predicted = np.argsort(-probabilities, axis=1, kind="stable")[:, :TOP]
        best, hits = (np.take_along_axis(of, predicted, axis=1) for of in (probabilities, self.labels > 0))
        [together] = self._precision_sums(best, hits, np.zeros_like(predicted), 1)
        by_label = self._precision_sums(best, hits, predicted, probabilities.shape[1])[self._occurring]
        occurs = self._numbers > 0
        precisions = np.divide(by_label.T, self._numbers, out=np.zeros(self._numbers.shape), where=occurs)
        return {
            "f1": self._f1(probabilities, 0.5),
            "fitted_f1": self._f1(probabilities, threshold),
            "gap": together / np.maximum(self._number, 1),
            "map": precisions.sum(axis=1) / np.maximum(occurs.sum(axis=1), 1),
            "hit_at_1": self.draws @ hits[:, 0].astype(np.float64) / self.draws.sum(axis=1),
        }

    def _f1(self, probabilities: np.ndarray, threshold: float) -> np.ndarray:
        predicted = probabilities > np.float32(threshold)
        right = (predicted & (self.labels > 0)).sum(axis=1, dtype=np.float64)
        return 2 * (self.draws @ right) / np.maximum(self.draws @ predicted.sum(axis=1) + self._number, 1)

    def _precision_sums(self, scores: np.ndarray, hits: np.ndarray, groups: np.ndarray, count: int) -> np.ndarray:
        """The sum of precisions at the hits of each group, in each draw.

        Args:
            scores: of the predictions, float32, [videos, predictions].
            hits: which are right, same shape.
            groups: each is ranked by itself; numbers below `count`, same shape.
            count: number of groups.

        Returns:
            float64, [groups, draws].
        """
        totals = np.zeros((count, len(self.draws)))
        if not hits.any():
            return totals
        order = np.lexsort((-scores.ravel(), groups.ravel()))
        videos = np.repeat(np.arange(len(scores)), scores.shape[1])[order]
        scores, hits, groups = (of.ravel()[order] for of in (scores, hits, groups))
        new_group = np.r_[True, groups[1:] != groups[:-1]]
        new_score = np.flatnonzero(new_group | np.r_[True, scores[1:] != scores[:-1]])
        at = np.flatnonzero(hits)
        # Of each hit: the place where its group starts, and where those with its score start and end.
        group = np.maximum.accumulate(np.where(new_group, np.arange(groups.size), 0))[at]
        following = np.searchsorted(new_score, at, side="right")
        equal, after = new_score[following - 1], np.r_[new_score, groups.size][following]
        starts = np.flatnonzero(np.r_[True, np.diff(groups[at]) > 0])
        for start in range(0, len(self.draws), _CHUNK):
            part = slice(start, start + _CHUNK)
            drawn = self.draws[part][:, videos]
            seen, right = (
                (sums[:, equal] + sums[:, after] + 1) / 2 - sums[:, group]
                for sums in map(_running_sums, (drawn, drawn * hits))
            )
            precisions = right / seen * drawn[:, at]
            totals[groups[at][starts], part] = np.add.reduceat(precisions, starts, axis=1, dtype=np.float64).T
        return totals


def _running_sums(numbers: np.ndarray) -> np.ndarray:
    """Sums of each row's first 0, 1, ... numbers; exact in float32, as they stay below 2^24."""
    return np.pad(np.cumsum(numbers, axis=1), ((0, 0), (1, 0)))


def ensemble(probabilities: Sequence[np.ndarray]) -> np.ndarray:
    """The mean of the probabilities of several models, float32 [videos, classes]."""
    return np.mean(np.stack(probabilities), axis=0)


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes:
        name: of the recipe.
        costs: of its models; what is unknown is left out.
        thresholds: of their fitted F1.
        scores: by name, [models, draws]; the first draw has each test video once.
    """

    name: str
    costs: Sequence[Cost]
    thresholds: Sequence[float]
    scores: Mapping[str, np.ndarray]

    def difference(self, peer: "Row", score: str) -> tuple[float, float, float]:
        """The difference to the peer in a score, and its 95 % interval.

        The replicates are centred on the difference: mAP shifts with the rare labels that a draw lacks.
        """
        difference, *replicates = self.scores[score].mean(axis=0) - peer.scores[score].mean(axis=0)
        low, high = np.quantile(replicates, [0.025, 0.975]) - np.mean(replicates) + difference
        return float(difference), float(low), float(high)

    def summary(self, peer: "Row | None") -> dict[str, Any]:
        """All figures, for JSON."""
        return {
            "row": self.name,
            "scores": {score: values[:, 0].tolist() for score, values in self.scores.items()},
            "thresholds": self.thresholds,
            "differences": {score: self.difference(peer, score) for score in COMPARED} if peer else {},
            "costs": self.costs,
        }

    def cells(self, peer: "Row | None") -> list[str]:
        """The cells of the line."""
        cells = [self.name]
        for values in self.scores.values():
            scores = values[:, 0]
            spread = f" ({scores.min():.4f}-{scores.max():.4f})" if scores.size > 1 else ""
            cells.append(f"{scores.mean():.4f}{spread}")
        for score in COMPARED:
            compared = "{:+.4f} ({:+.4f} to {:+.4f})".format(*self.difference(peer, score)) if peer else ""
            cells.append("" if peer is self else compared)
        for name in COSTS:
            known = [cost[name] for cost in self.costs if name in cost]
            cells.append(f"{np.mean(known):,.0f}" if known else "")
        return cells
