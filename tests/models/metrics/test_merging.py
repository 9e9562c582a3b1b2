"""Accumulators that are merged: no attribute is forgotten."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from models.metrics.findings import Findings
from models.metrics.map_at_k import MapAtK
from models.metrics.ranked_predictions import RankedHits, RankedPredictions
from models.metrics.rated_replicates import RatedReplicates
from models.metrics.video_metrics import VideoMetrics

CLASSES, REPLICATES, THRESHOLD, CAPACITY = 40, 3, 0.3, 50

# Attributes that the constructor sets and nothing counts.
ARGUMENTS = {"classes", "labels", "capacity", "threshold", "rated", "k"}


def metrics(probabilities: np.ndarray, labels: np.ndarray, ids: list[bytes]) -> VideoMetrics:
    """Of rated segments, a tenth of whose labels are unknown."""
    accumulator = VideoMetrics(CLASSES, REPLICATES, THRESHOLD, rated=True)
    labels[:, ::10] = -1
    accumulator.update(probabilities, labels, ids)
    accumulator.update(np.full((1, CLASSES), np.nan), labels[:1], ids[:1])
    return accumulator


def findings(probabilities: np.ndarray, labels: np.ndarray, ids: list[bytes]) -> Findings:
    accumulator = Findings()
    accumulator.update(probabilities, labels, ids)
    return accumulator


def ranked(probabilities: np.ndarray, labels: np.ndarray, ids: list[bytes]) -> RankedPredictions:
    """Some predictions counted, some waiting."""
    accumulator = RankedPredictions(CLASSES)
    columns = np.broadcast_to(np.arange(CLASSES), labels.shape)
    accumulator.add(probabilities[:200], labels[:200] > 0, columns[:200])
    accumulator.precision_sums()
    accumulator.add(probabilities[200:], labels[200:] > 0, columns[200:])
    return accumulator


def hits(probabilities: np.ndarray, labels: np.ndarray, ids: list[bytes]) -> RankedHits:
    """More scores than the capacity, so that they are counted coarsely."""
    accumulator = RankedHits(CAPACITY)
    accumulator.count(np.arange(300), labels[:, 0].astype(np.int64))
    return accumulator


EMPTY: dict[Callable[..., Any], Callable[[], Any]] = {
    metrics: lambda: VideoMetrics(CLASSES, REPLICATES, THRESHOLD, rated=True),
    findings: Findings,
    ranked: lambda: RankedPredictions(CLASSES),
    hits: lambda: RankedHits(CAPACITY),
}


def state(accumulator: Any) -> dict[str, Any]:
    """Its attributes as they are pickled; arrays as lists, accumulators within it as their own state."""
    attributes = accumulator.__getstate__().items()
    return {name: plain(value) for name, value in attributes if name not in ARGUMENTS}


def plain(value: Any) -> Any:
    if isinstance(value, RankedHits | RankedPredictions | MapAtK | RatedReplicates):
        return state(value)
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return value.tolist() if isinstance(value, np.ndarray) else value


@pytest.mark.parametrize("fill", EMPTY)
def test_an_empty_accumulator_takes_over_every_attribute(fair_predictions: Callable, fill: Callable[..., Any]) -> None:
    filled, merged = fill(*fair_predictions(1), [b"%04d" % number for number in range(300)]), EMPTY[fill]()
    empty, expected = state(merged), state(filled)
    assert not {name for name in expected if expected[name] == empty[name]}, "these could be forgotten unseen"
    merged.merge(filled)
    assert state(merged) == expected
