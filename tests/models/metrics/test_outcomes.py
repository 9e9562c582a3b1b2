"""Outcomes of videos: the same in any batch, and all that the metrics need."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.metrics.outcomes import Outcomes, best_labels

Predictions = tuple[np.ndarray, np.ndarray]


def ids(count: int) -> list[bytes]:
    return [b"%04d" % number for number in range(count)]


def assert_equal(first: Outcomes, second: Outcomes) -> None:
    for name, value in vars(first).items():
        np.testing.assert_array_equal(value, getattr(second, name), err_msg=name)


def test_a_video_has_the_same_outcomes_in_any_batch(predictions: Predictions) -> None:
    probabilities, labels = predictions
    whole = Outcomes.of(probabilities, labels, ids(300))
    assert_equal(Outcomes.join(whole.split()), whole)
    for row in (0, 150, 299):
        alone = Outcomes.of(probabilities[row : row + 1], labels[row : row + 1], ids(300)[row : row + 1])
        for name, value in vars(whole.split()[row]).items():
            if name != "ids":
                np.testing.assert_allclose(value, getattr(alone, name), atol=1e-12, err_msg=name)


def test_split_outcomes_do_not_keep_those_of_the_batch_in_memory(predictions: Predictions) -> None:
    [first, *_] = Outcomes.of(*predictions).split()
    assert all(array.base is None for name, array in vars(first).items() if name != "ids")


def test_outcomes_match_their_definitions(predictions: Predictions) -> None:
    probabilities, labels = predictions[0][7:8], predictions[1][7:8]
    [p], [truth], outcomes = probabilities.astype(np.float64), labels > 0, Outcomes.of(probabilities, labels)
    order = np.argsort(-p, kind="stable")
    assert outcomes.hits.tolist() == np.flatnonzero(truth & (p > 0.5)).tolist()
    assert outcomes.predicted.tolist() == np.flatnonzero(p > 0.5).tolist()
    assert outcomes.actual.tolist() == np.flatnonzero(truth).tolist()
    assert outcomes.pairs.sum() == p.size and outcomes.probabilities.sum() == pytest.approx(p.sum(), abs=1e-12)
    assert outcomes.best[0].tolist() == order[:20].tolist()
    assert outcomes.right[0].tolist() == truth[order[:20]].tolist()
    assert outcomes.in_time.tolist() == [np.count_nonzero(truth[order[: truth.sum()]])]
    assert outcomes.errors[0] == pytest.approx(np.abs(truth - p).sum(), abs=1e-12)


def test_a_nan_is_counted_as_zero_and_only_in_its_video(fair_predictions: Callable) -> None:
    probabilities, labels = fair_predictions(1)
    probabilities[3, [1, 5]] = np.nan
    damaged, zero = Outcomes.of(probabilities, labels), Outcomes.of(np.nan_to_num(probabilities), labels)
    assert np.flatnonzero(damaged.nans).tolist() == [3] and damaged.nans.sum() == 2
    assert_equal(replace(damaged, nans=zero.nans), zero)


def test_there_may_be_no_videos() -> None:
    none = Outcomes.of(np.zeros((0, 200)), np.zeros((0, 200)))
    assert len(none.numbers) == 0 and none.best.shape == (0, 20) and none.split() == []


@given(st.lists(st.integers(0, 5), min_size=1, max_size=40), st.integers(1, 50))
def test_equal_probabilities_are_ordered_by_label_id(values: list[int], count: int) -> None:
    probabilities = np.array([values], np.float32) / 5
    np.testing.assert_array_equal(
        best_labels(probabilities, count), np.argsort(-probabilities, kind="stable")[:, :count]
    )


@pytest.mark.parametrize("levels", [1, 3, 1000, 2**24])
def test_the_best_of_thousands_of_labels_are_found(levels: int) -> None:
    probabilities = (np.random.default_rng(levels).integers(0, levels, (7, 3862)) / levels).astype(np.float32)
    for count in (1, 20, 700):
        np.testing.assert_array_equal(
            best_labels(probabilities, count), np.argsort(-probabilities, kind="stable")[:, :count]
        )
