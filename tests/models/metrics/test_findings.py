"""Confused labels and single videos, however the videos are distributed."""

from collections import Counter
from collections.abc import Callable

import numpy as np

from models.metrics.findings import SHOWN, Findings


def ids(count: int) -> list[bytes]:
    return [b"%04d" % number for number in range(count)]


def collect(probabilities: np.ndarray, labels: np.ndarray, names: list[bytes]) -> Findings:
    findings = Findings()
    for start in range(0, len(names), 7):
        part = slice(start, start + 7)
        findings.update(probabilities[part], labels[part], names[part])
    return findings


def test_a_confused_pair_is_a_missed_and_a_wrong_label_of_the_same_video(fair_predictions: Callable) -> None:
    probabilities, labels = fair_predictions(1)
    expected = Counter()
    for row, truth in zip(probabilities, labels > 0, strict=True):
        missed = [label for label in range(40) if truth[label] and row[label] <= 0.5]
        best = np.argsort(-row, kind="stable")[:5]
        expected.update((m, int(w)) for m in missed for w in best if row[w] > 0.5 and not truth[w])
    pairs = collect(probabilities, labels, ids(300)).confusions(20)
    assert {(m, w): n for m, w, n in pairs}.items() <= expected.items()
    assert [n for _, _, n in pairs] == [n for _, n in expected.most_common(20)]


def test_the_worst_videos_have_the_largest_errors(fair_predictions: Callable) -> None:
    probabilities, labels = fair_predictions(2)
    errors = np.abs(labels - probabilities.astype(np.float64)).sum(axis=1)
    worst = collect(probabilities, labels, ids(300)).worst()
    assert [int(video.id) for video in worst] == np.argsort(-errors)[:SHOWN].tolist()
    first = worst[0]
    row = int(first.id)
    assert [label for label, _ in first.labels] == np.flatnonzero(labels[row]).tolist()
    assert [label for label, _ in first.predictions] == np.argsort(-probabilities[row])[:5].tolist()
    assert all(p == probabilities[row, label] for label, p in (*first.labels, *first.predictions))


def test_order_and_distribution_do_not_change_the_findings(fair_predictions: Callable) -> None:
    probabilities, labels = fair_predictions(3)
    names = ids(300)
    whole, merged = collect(probabilities, labels, names), Findings()
    order = np.random.default_rng(0).permutation(300)
    for part in np.array_split(order, 5):
        merged.merge(collect(probabilities[part], labels[part], [names[place] for place in part]))
    assert merged.sample() == whole.sample() and merged.worst() == whole.worst()
    assert merged.confusions(50) == whole.confusions(50)


def test_the_sample_does_not_depend_on_the_model(fair_predictions: Callable) -> None:
    probabilities, labels = fair_predictions(4)
    sample, opposite = (collect(p, labels, ids(300)).sample() for p in (probabilities, 1 - probabilities))
    assert [video.id for video in sample] == [video.id for video in opposite]
    assert len({video.id for video in sample}) == SHOWN


def test_ids_that_are_not_utf8_are_escaped(fair_predictions: Callable) -> None:
    probabilities, labels = fair_predictions(5)
    assert collect(probabilities[:1], labels[:1], [b"\xff<b>"]).sample()[0].id == "\\xff<b>"
