"""Predictions of several kinds of classifiers."""

from collections.abc import Callable

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
