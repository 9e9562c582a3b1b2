"""Micro-averaged F1, precision and recall as TFMA metrics: one pass over all labels of a video, vectorised.

TFMA's own metrics binarize by class, which is slow with thousands of classes.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.metrics import metric_types, metric_util
from tensorflow_model_analysis.proto import config_pb2

# Strictly above: the thesis' rule (section 5.1), and Keras'.
THRESHOLD = 0.5

Counts = np.ndarray


class _CountDecisions(beam.CombineFn):
    """True positives, false positives and false negatives over all (video, label) pairs; NaN where a score is NaN."""

    def __init__(self, key: metric_types.MetricKey, eval_config: config_pb2.EvalConfig | None):
        self.key, self.eval_config = key, eval_config

    def create_accumulator(self) -> Counts:
        return np.zeros(3)

    def add_input(self, counts: Counts, inputs: metric_types.StandardMetricInputs) -> Counts:
        for labels, scores, _ in metric_util.to_label_prediction_example_weight(
            inputs,
            eval_config=self.eval_config,
            model_name=self.key.model_name,
            output_name=self.key.output_name,
            flatten=False,
            squeeze=False,
        ):
            truth, scores = np.ravel(labels) > 0, np.ravel(scores)
            chosen = scores > THRESHOLD
            hits = np.count_nonzero(truth & chosen)
            counts += (hits, np.count_nonzero(chosen) - hits, np.count_nonzero(truth) - hits)
            # A score that is no number is no decision: it must not pass for "label absent".
            if np.isnan(scores).any():
                counts += np.nan
        return counts

    def merge_accumulators(self, accumulators: Iterable[Counts]) -> Counts:
        return np.sum(list(accumulators), axis=0)

    def extract_output(self, counts: Counts) -> dict[metric_types.MetricKey, Counts]:
        return {self.key: counts}


def precision(true_positives: float, false_positives: float, false_negatives: float) -> float:
    """TP / (TP + FP); 0 when nothing was predicted."""
    predicted = true_positives + false_positives
    return true_positives / predicted if predicted else 0.0


def recall(true_positives: float, false_positives: float, false_negatives: float) -> float:
    """TP / (TP + FN); 0 when there was nothing to find."""
    actual = true_positives + false_negatives
    return true_positives / actual if actual else 0.0


def f1(true_positives: float, false_positives: float, false_negatives: float) -> float:
    """2 TP / (2 TP + FP + FN), the harmonic mean of precision and recall; 0 when both are."""
    total = 2 * true_positives + false_positives + false_negatives
    return 2 * true_positives / total if total else 0.0


def _computations(
    score: Callable[[float, float, float], float],
    name: str,
    eval_config: config_pb2.EvalConfig | None = None,
    model_name: str = "",
    output_name: str = "",
    **_: Any,
) -> metric_types.MetricComputations:
    # All three metrics ask for the same counts; TFMA computes equal computations once.
    counts = metric_types.MetricKey(name="_micro_counts", model_name=model_name, output_name=output_name)
    key = metric_types.MetricKey(name=name, model_name=model_name, output_name=output_name)
    return [
        metric_types.MetricComputation(
            keys=[counts], preprocessors=None, combiner=_CountDecisions(counts, eval_config)
        ),
        metric_types.DerivedMetricComputation(keys=[key], result=lambda metrics: {key: score(*metrics[counts])}),
    ]


class _MicroMetric(tfma.metrics.Metric):
    score: Callable[[float, float, float], float]

    def __init__(self, name: str = ""):
        name = name or type(self).score.__name__
        super().__init__(metric_util.merge_per_key_computations(partial(_computations, type(self).score)), name=name)


class F1(_MicroMetric):
    """Micro F1 at scores above 0.5."""

    score = staticmethod(f1)


class Precision(_MicroMetric):
    """Micro precision at scores above 0.5."""

    score = staticmethod(precision)


class Recall(_MicroMetric):
    """Micro recall at scores above 0.5."""

    score = staticmethod(recall)


for _metric in (F1, Precision, Recall):
    metric_types.register_metric(_metric)
