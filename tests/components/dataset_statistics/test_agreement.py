"""Agreement of splits: distance and deviations by their definitions, and their false alarms by chance."""

import math
from fractions import Fraction

import numpy as np
import pytest

from components.dataset_statistics.agreement import agreement, describe_agreement, deviation, jensen_shannon


def test_the_distance_is_the_root_of_the_mean_divergence_from_the_middle():
    a, b = np.array([6, 2, 0, 0]), np.array([1, 0, 3, 0])
    p, q = a / a.sum(), b / b.sum()
    expected = 0.0
    for shares in (p, q):
        for share, middle in zip(shares, (p + q) / 2, strict=True):
            expected += share * math.log2(share / middle) / 2 if share else 0
    assert jensen_shannon(a, b) == pytest.approx(math.sqrt(expected))
    assert jensen_shannon(a, 7 * a) == 0
    assert jensen_shannon(np.array([5, 0]), np.array([0, 9])) == 1


@pytest.mark.parametrize(
    ("total", "here", "videos"),
    [(12, 100, 1000), (60, 800, 1000), (3, 500, 600), (900, 300, 1000), (40, 100, 100_000)],
)
def test_deviations_are_as_rare_as_those_of_a_normal_variable(total, here, videos):
    # Ways to deal the label's videos by their number in a split of `here` videos: exact integers.
    ways = {
        hits: math.comb(total, hits) * math.comb(videos - total, here - hits)
        for hits in range(max(0, total + here - videos), min(total, here) + 1)
    }
    for hits in ways:
        [deviations] = deviation(np.array([hits]), np.array([total]), here, videos)
        tail = sum(way for number, way in ways.items() if (number >= hits if deviations > 0 else number <= hits))
        exact = float(Fraction(tail, math.comb(videos, here)))
        if abs(deviations) > 1 and exact > 1e-30:
            normal = math.erfc(abs(deviations) / math.sqrt(2)) / 2
            assert 0.7 < normal / exact < 6


def videos_with_labels(generator, number):
    """bool [videos, 60]: rare and frequent labels that occur together."""
    topics = generator.random((number, 6)) < 0.3
    return (generator.random((number, 60)) < 0.9 / np.arange(1, 61)) & np.repeat(topics, 10, axis=1)


def compare(has_label, split):
    frequencies = {name: has_label[split == place].sum(axis=0) for place, name in enumerate(("a", "b", "c"))}
    videos = {name: int((split == place).sum()) for place, name in enumerate(frequencies)}
    return agreement(frequencies, videos, tuple(f"label {number}" for number in range(has_label.shape[1])))


def test_random_splits_agree():
    generator = np.random.default_rng(1)
    alarms = 0
    for _ in range(40):
        has_label = videos_with_labels(generator, 3000)
        result = compare(has_label, generator.choice(3, 3000, p=[0.8, 0.1, 0.1]))
        alarms += bool(result.differences) or any(pair.distance > pair.chance_limit for pair in result.distances)
        assert result.compared == 3 * np.count_nonzero(has_label.any(axis=0))
    assert alarms <= 2


def test_a_label_that_one_split_lacks_is_named():
    generator = np.random.default_rng(2)
    has_label = videos_with_labels(generator, 3000)
    split = generator.choice(3, 3000, p=[0.8, 0.1, 0.1])
    has_label[:, 30] = generator.random(3000) < np.where(split == 2, 0.0, 0.2)
    result = compare(has_label, split)
    worst = result.differences[0]
    assert (worst.name, worst.split, worst.videos, worst.share) == ("label 30", "c", 0, 0)
    assert worst.share_elsewhere == pytest.approx(0.2, abs=0.02) and worst.deviation < -result.limit
    by_pair = {(pair.first, pair.second): pair for pair in result.distances}
    assert by_pair["a", "b"].distance < by_pair["a", "b"].chance_limit
    assert by_pair["b", "c"].distance > by_pair["b", "c"].chance_limit
    words = describe_agreement(result)
    assert words[0].startswith("a and b agree: ") and words[2].startswith("b and c differ more than chance explains: ")
    assert words[3] == "1 label is more or less frequent in a split than chance explains."


@pytest.mark.parametrize("videos", [{"a": 3, "b": 0}, {"a": 0, "b": 0}])
def test_a_split_without_videos_is_not_compared(videos):
    frequencies = {name: np.array([number, 0]) for name, number in videos.items()}
    result = agreement(frequencies, videos, ("x", "y"))
    assert (result.distances, result.differences, describe_agreement(result)) == ((), (), [])
