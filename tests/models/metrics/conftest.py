"""Predictions to be scored, and the scores by their definitions: everything sorted, nothing binned."""

from collections.abc import Callable
from itertools import groupby

import numpy as np
import pytest


def random_predictions(seed: int, videos: int = 300, classes: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities float32 and labels of a fair classifier."""
    rng = np.random.default_rng(seed)
    labels = rng.random((videos, classes)) < rng.uniform(0, 0.2, classes)
    logits = rng.normal(-3, 1.5, labels.shape) + 3 * labels
    return (1 / (1 + np.exp(-logits))).astype(np.float32), labels.astype(np.float32)


def tiny(seed: int) -> tuple[np.ndarray, np.ndarray]:
    probabilities, labels = random_predictions(seed)
    return (probabilities * 1e-5).astype(np.float32), labels


def tied(seed: int) -> tuple[np.ndarray, np.ndarray]:
    probabilities, labels = random_predictions(seed)
    return np.round(probabilities, 1).astype(np.float32), labels


def all_equal(seed: int) -> tuple[np.ndarray, np.ndarray]:
    probabilities, labels = random_predictions(seed)
    return np.full_like(probabilities, 0.7), labels


def extreme(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Zeros, ones and labels that are always wrong."""
    probabilities, labels = random_predictions(seed)
    return np.where(labels > 0, 0.0, np.round(probabilities)).astype(np.float32), labels


KINDS = {"random": random_predictions, "tiny": tiny, "tied": tied, "all equal": all_equal, "extreme": extreme}


@pytest.fixture(params=KINDS)
def predictions(request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray]:
    return KINDS[request.param](seed=7)


@pytest.fixture(scope="session")
def fair_predictions() -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    return random_predictions


def average_precision_sum(scores: np.ndarray, hits: np.ndarray) -> float:
    """Sum of precisions at hits, all orders of equal scores being equally likely."""
    total = seen = found = 0.0
    for _, group in groupby(sorted(zip(scores.tolist(), hits.tolist(), strict=True), reverse=True), lambda e: e[0]):
        right = [hit for _, hit in group]
        n, h = len(right), sum(right)
        for place in range(n):
            if h:
                others = place * (h - 1) / (n - 1) if n > 1 else 0
                total += h / n * (found + 1 + others) / (seen + place + 1)
        seen, found = seen + n, found + h
    return total


@pytest.fixture(scope="session")
def sum_of_precisions() -> Callable[[np.ndarray, np.ndarray], float]:
    return average_precision_sum


def by_definition(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    p, y = probabilities.astype(np.float64), labels > 0
    chosen = p > 0.5
    tp, predicted, actual = (chosen & y).sum(0), chosen.sum(0), y.sum(0)

    def ratio(a: float, b: float) -> float:
        return a / b if b else 0.0

    order = np.argsort(-p, axis=1, kind="stable")
    top = order[:, :20]
    top_p, top_y = np.take_along_axis(p, top, 1), np.take_along_axis(y, top, 1)
    aps = []
    for c in range(p.shape[1]):
        mine = top == c
        aps.append(ratio(average_precision_sum(top_p[mine], top_y[mine]), actual[c]))
    occurs = actual > 0
    perr = [y[v, order[v, : y[v].sum()]].mean() if y[v].any() else 0.0 for v in range(len(y))]
    bins = np.clip(np.ceil(p * 20).astype(int) - 1, 0, 19)
    return {
        "f1": ratio(2 * tp.sum(), predicted.sum() + actual.sum()),
        "precision": ratio(tp.sum(), predicted.sum()),
        "recall": ratio(tp.sum(), actual.sum()),
        "macro_f1": np.mean([ratio(2 * t, q + a) for t, q, a in zip(tp, predicted, actual, strict=True) if a]),
        "macro_precision": np.mean([ratio(t, q) for t, q, a in zip(tp, predicted, actual, strict=True) if a]),
        "macro_recall": np.mean([ratio(t, a) for t, a in zip(tp, actual, strict=True) if a]),
        "gap": ratio(average_precision_sum(top_p.ravel(), top_y.ravel()), actual.sum()),
        "map": np.array(aps)[occurs].mean(),
        "map_official": np.mean(aps),
        "perr": np.mean(perr),
        "hit_at_1": y[np.arange(len(y)), order[:, 0]].mean(),
        "ece": sum(abs((y[bins == b] - p[bins == b]).sum()) for b in range(20)) / p.size,
    }


@pytest.fixture(scope="session")
def scores_by_definition() -> Callable[[np.ndarray, np.ndarray], dict[str, float]]:
    return by_definition
