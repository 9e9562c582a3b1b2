"""Confused labels and single videos, however the videos are shared out."""

from collections import Counter
from collections.abc import Callable

import numpy as np

from models.metrics.findings import SHOWN, Findings


def ids(count: int) -> list[bytes]:
    return [b"%04d" % number for number in range(count)]


def found(probabilities: np.ndarray, labels: np.ndarray, names: list[bytes]) -> Findings:
    findings = Findings()
    for start in range(0, len(names), 7):
        part = slice(start, start + 7)
        findings.update(probabilities[part], labels[part], names[part])
    return findings


def test_confused_pairs_are_a_missed_label_and_a_wrong_one_of_the_same_video(fair_predictions: Callable) -> None:
    probabilities, labels = fair_predictions(1)
    expected = Counter()
    for row, truth in zip(probabilities, labels > 0, strict=True):
        missed = [label for label in range(40) if truth[label] and row[label] <= 0.5]
        best = np.argsort(-row, kind="stable")[:5]
        expected.update((m, int(w)) for m in missed for w in best if row[w] > 0.5 and not truth[w])
    pairs = found(probabilities, labels, ids(300)).confusions(20)
    assert {(m, w): n for m, w, n in pairs}.items() <= expected.items()
    assert [n for _, _, n in pairs] == [n for _, n in expected.most_common(20)]


def test_the_worst_videos_are_those_of_the_largest_errors(fair_predictions: Callable) -> None:
    probabilities, labels = fair_predictions(2)
    errors = np.abs(labels - probabilities.astype(np.float64)).sum(axis=1)
    worst = found(probabilities, labels, ids(300)).worst()
    assert [int(video.id) for video in worst] == np.argsort(-errors)[:SHOWN].tolist()
    first = worst[0]
    row = int(first.id)
    assert [label for label, _ in first.labels] == np.flatnonzero(labels[row]).tolist()
    assert [label for label, _ in first.predictions] == np.argsort(-probabilities[row])[:5].tolist()
    assert all(p == probabilities[row, label] for label, p in (*first.labels, *first.predictions))


def test_any_order_and_any_sharing_out_finds_the_same(fair_predictions: Callable) -> None:
    probabilities, labels = fair_predictions(3)
    names = ids(300)
    whole, merged = found(probabilities, labels, names), Findings()
    order = np.random.default_rng(0).permutation(300)
    for part in np.array_split(order, 5):
        merged.merge(found(probabilities[part], labels[part], [names[place] for place in part]))
    assert merged.sample() == whole.sample() and merged.worst() == whole.worst()
    assert merged.confusions(50) == whole.confusions(50)


def test_the_sample_is_none_of_the_models_choice(fair_predictions: Callable) -> None:
    probabilities, labels = fair_predictions(4)
    one, other = (found(p, labels, ids(300)).sample() for p in (probabilities, 1 - probabilities))
    assert [video.id for video in one] == [video.id for video in other]
    assert len({video.id for video in one}) == SHOWN


def test_ids_that_are_no_text_are_shown(fair_predictions: Callable) -> None:
    probabilities, labels = fair_predictions(5)
    assert found(probabilities[:1], labels[:1], [b"\xff<b>"]).sample()[0].id == "\\xff<b>"
