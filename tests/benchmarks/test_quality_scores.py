"""The scores of the benchmark of quality, against their definitions in plain loops."""

import numpy as np
import pytest
from quality_scores import SCORES, TOP, Truth, draws, ensemble, fit_threshold

VIDEOS, CLASSES = 24, 30


@pytest.fixture(params=["spread", "many equal"])
def predictions(request):
    """Probabilities float32 and labels uint8, [videos, classes]; some labels occur nowhere, one video has none."""
    rng = np.random.default_rng(5)
    labels = (rng.random((VIDEOS, CLASSES)) < np.linspace(0.4, 0, CLASSES)).astype(np.uint8)
    labels[3] = 0
    probabilities = np.clip(rng.random(labels.shape) * 0.7 + labels * 0.25, 0, 1)
    if request.param == "many equal":
        probabilities = np.round(probabilities * 4) / 4
    return probabilities.astype(np.float32), labels


def f1(probabilities, labels, threshold):
    predicted = probabilities > threshold
    return 2 * (predicted & (labels > 0)).sum() / (predicted.sum() + labels.sum())


def average_precision(scores, hits, positives):
    """The mean over true labels of the precision at their place; equal scores share the mean of their places."""
    total = 0.0
    for score, hit in zip(scores, hits, strict=True):
        right, seen = (
            (of[scores > score].sum() + (of[scores == score].sum() + 1) / 2) for of in (hits, hits + (hits == 0))
        )
        total += hit * right / seen
    return total / positives


def by_definition(probabilities, labels, threshold):
    best = np.argsort(-probabilities.astype(float), axis=1, kind="stable")[:, :TOP]
    scores, hits = (np.take_along_axis(of, best, axis=1) for of in (probabilities, labels))
    occurring = np.flatnonzero(labels.any(axis=0))
    by_label = [
        average_precision(scores[best == label], hits[best == label], labels[:, label].sum()) for label in occurring
    ]
    return {
        "f1": f1(probabilities, labels, 0.5),
        "fitted_f1": f1(probabilities, labels, threshold),
        "gap": average_precision(scores.ravel(), hits.ravel(), labels.sum()),
        "map": np.mean(by_label),
        "hit_at_1": np.mean(hits[:, 0]),
    }


def test_scores_are_those_of_the_definitions(predictions):
    probabilities, labels = predictions
    scores = Truth(labels, draws(VIDEOS, 0)).scores(probabilities, threshold=0.3)
    assert tuple(scores) == tuple(SCORES)
    assert {name: score.tolist() for name, score in scores.items()} == {
        name: [pytest.approx(score)] for name, score in by_definition(probabilities, labels, 0.3).items()
    }


def test_a_replicate_scores_as_a_data_set_that_repeats_its_videos(predictions):
    probabilities, labels = predictions
    drawn = draws(VIDEOS, replicates=120, seed=1)
    scores = Truth(labels, drawn).scores(probabilities, threshold=0.3)
    for replicate in (0, 1, 99, 100, 120):
        repeats = drawn[replicate].astype(int)
        defined = by_definition(np.repeat(probabilities, repeats, 0), np.repeat(labels, repeats, 0), 0.3)
        assert {name: score[replicate] for name, score in scores.items()} == pytest.approx(defined)


def test_every_replicate_has_as_many_videos():
    drawn = draws(VIDEOS, replicates=50)
    assert drawn.shape == (51, VIDEOS)
    assert (drawn[0] == 1).all()
    assert (drawn.sum(axis=1) == VIDEOS).all()
    assert (drawn == draws(VIDEOS, replicates=50)).all()


def test_the_fitted_threshold_has_the_best_f1_of_all(predictions):
    probabilities, labels = predictions
    threshold = fit_threshold(probabilities, labels)
    candidates = {0.0, *probabilities.ravel().tolist()}
    assert f1(probabilities, labels, threshold) == pytest.approx(max(f1(probabilities, labels, t) for t in candidates))


def test_a_model_that_is_always_wrong_scores_nothing():
    labels = np.array([[1, 0], [1, 0]], np.uint8)
    scores = Truth(labels, draws(2, 3)).scores(np.array([[0, 0.9], [0, 0.8]], np.float32), 0.5)
    assert scores["hit_at_1"].tolist() == scores["f1"].tolist() == [0, 0, 0, 0]
    nothing = Truth(np.zeros_like(labels), draws(2, 3)).scores(np.zeros((2, 2), np.float32), 0.5)
    assert all(score.tolist() == [0, 0, 0, 0] for score in nothing.values())


@pytest.mark.parametrize("wrong", [np.nan, -0.5, 1.5, np.inf])
def test_what_is_no_probability_is_refused(wrong):
    truth = Truth(np.ones((1, 1), np.uint8), draws(1, 1))
    with pytest.raises(ValueError, match="expected probabilities from 0 to 1"):
        truth.scores(np.array([[wrong]], np.float32), 0.5)


def test_an_ensemble_is_the_mean_of_probabilities():
    assert ensemble([np.array([[0.5, 0.0]], np.float32), np.array([[1.0, 0.25]], np.float32)]).tolist() == [
        [0.75, 0.125]
    ]
