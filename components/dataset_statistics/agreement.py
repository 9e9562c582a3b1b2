"""How well the label frequencies of splits agree, and where they differ by more than chance explains."""

from collections.abc import Mapping
from itertools import combinations
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

# Probability that any label is reported although the videos were split at random (Bonferroni's correction).
SIGNIFICANCE = 0.01

# Random splits of which the distances by chance are measured: enough to know their spread to 10 %.
DEALS = 100

# A distance up to so many standard deviations above the mean is attributed to chance. A random split deals out labels
# one by one, while those of a video occur together: real distances spread a little more.
CHANCE = 4


class SplitDistance(BaseModel, frozen=True):
    """Jensen-Shannon distance of two splits' labels, and its mean and limit for random splits of the same videos."""

    first: str
    second: str
    distance: float
    by_chance: float
    chance_limit: float


class LabelDifference(BaseModel, frozen=True):
    """A label that is more or less frequent in one split than in the rest; see `deviation`."""

    id: int
    name: str
    split: str
    videos: int
    share: float
    share_elsewhere: float
    deviation: float


class Agreement(BaseModel, frozen=True):
    """Distances of all pairs of splits, and all labels with a deviation beyond the limit, largest first."""

    distances: tuple[SplitDistance, ...]
    differences: tuple[LabelDifference, ...]
    compared: int
    limit: float


def agreement(
    frequencies: Mapping[str, NDArray[np.int64]], videos: Mapping[str, int], names: tuple[str, ...]
) -> Agreement:
    """Compares all splits that have videos.

    Args:
        frequencies: by split int64 [C], videos with each label.
        videos: number of videos by split.
        names: of the labels.
    """
    filled = [split for split in frequencies if videos[split]]
    distances = []
    for first, second in combinations(filled, 2):
        a, b = frequencies[first], frequencies[second]
        by_chance, chance_limit = distance_by_chance(a + b, videos[first], videos[second])
        distances.append(
            SplitDistance(
                first=first,
                second=second,
                distance=jensen_shannon(a, b),
                by_chance=by_chance,
                chance_limit=chance_limit,
            )
        )
    total = sum((frequencies[split] for split in filled), np.zeros(len(names), np.int64))
    everywhere = sum(videos[split] for split in filled)
    tests = int(np.count_nonzero(total)) * len(filled)
    limit = NormalDist().inv_cdf(1 - SIGNIFICANCE / (2 * tests)) if tests else 0.0
    differences = []
    for split in filled if len(filled) > 1 else []:
        inside, elsewhere = videos[split], everywhere - videos[split]
        deviations = deviation(frequencies[split], total, inside, everywhere)
        for label in np.flatnonzero(np.abs(deviations) > limit).tolist():
            here = int(frequencies[split][label])
            differences.append(
                LabelDifference(
                    id=label,
                    name=names[label],
                    split=split,
                    videos=here,
                    share=here / inside,
                    share_elsewhere=(int(total[label]) - here) / elsewhere,
                    deviation=float(deviations[label]),
                )
            )
    differences.sort(key=lambda difference: -abs(difference.deviation))
    return Agreement(distances=tuple(distances), differences=tuple(differences), compared=tests, limit=limit)


def jensen_shannon(first: NDArray[np.int64], second: NDArray[np.int64]) -> float:
    """Square root of the Jensen-Shannon divergence to base 2 (Lin 1991): 0 for equal shares, 1 for no common label."""
    p, q = first / first.sum(), second / second.sum()
    middle = (p + q) / 2
    divergence = 0.0
    for shares in (p, q):
        seen = shares > 0
        divergence += float(np.sum(shares[seen] * np.log2(shares[seen] / middle[seen]))) / 2
    return max(divergence, 0.0) ** 0.5


def distance_by_chance(total: NDArray[np.int64], first: int, second: int) -> tuple[float, float]:
    """The distance of two random samples of the same videos: mean, and the largest that is attributed to chance.

    Args:
        total: int64 [C], occurrences of each label or number in both samples, dealt one by one (hypergeometric).
        first: number of videos in the first sample.
        second: number of videos in the second.
    """
    generator = np.random.default_rng(0)
    distances = np.zeros(DEALS)
    for deal in range(DEALS):
        dealt = generator.hypergeometric(total, first + second - total, first)
        if dealt.any() and (total - dealt).any():
            distances[deal] = jensen_shannon(dealt, total - dealt)
    return float(distances.mean()), min(float(distances.mean() + CHANCE * distances.std()), 1.0)


def deviation(here: NDArray[np.int64], total: NDArray[np.int64], videos_here: int, videos: int) -> NDArray[np.float64]:
    """By how many standard deviations labels are more (or, negative, less) frequent in a split than expected.

    The signed root of the likelihood ratio (G) of the table "has the label or not" x "in the split or not", corrected
    by half a video for continuity: unlike a z score it also holds for labels with a handful of videos.

    Args:
        here: int64 [C], videos of the split with each label.
        total: int64 [C], all videos with each label.
        videos_here: number of videos of the split.
        videos: number of all videos.
    """
    expected = total * (videos_here / videos)
    difference = here - expected
    moved = np.sign(difference) * np.maximum(np.abs(difference) - 0.5, 0)
    table = (
        (expected, moved),
        (total - expected, -moved),
        (videos_here - expected, -moved),
        (videos - videos_here - total + expected, moved),
    )
    ratio = np.zeros(len(here))
    for cell, change in table:
        observed = np.maximum(cell + change, 0)
        # x ln x goes to 0 with x: an empty cell adds nothing.
        ratio += observed * np.log(
            np.divide(observed, cell, out=np.ones_like(observed), where=(observed > 0) & (cell > 0))
        )
    return np.sign(moved) * np.sqrt(2 * np.maximum(ratio, 0))


def describe_agreement(agreement: Agreement) -> list[str]:
    """The comparison in words: a sentence for each pair of splits and one for the labels."""
    sentences = []
    for pair in agreement.distances:
        more = pair.distance > pair.chance_limit
        verdict = "differ more than chance explains" if more else "agree"
        sentences.append(
            f"{pair.first} and {pair.second} {verdict}: their distance is {pair.distance:.4f}; "
            f"if the same videos are dealt at random, it is {pair.by_chance:.4f} on average and at most "
            f"{pair.chance_limit:.4f}."
        )
    if agreement.distances:
        labels = len({difference.id for difference in agreement.differences})
        subject = {0: "No label is", 1: "1 label is"}.get(labels, f"{labels:,} labels are")
        sentences.append(f"{subject} more or less frequent in a split than chance explains.")
    return sentences
