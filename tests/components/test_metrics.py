"""The TFMA metrics against NumPy."""

import subprocess
import sys

import numpy as np
import pytest
from tfx import v1 as tfx  # noqa: F401  (tfma.EvalConfig exists only after this import)

import tensorflow_model_analysis as tfma  # isort: skip
from google.protobuf import text_format

from components.evaluator import metrics


def evaluate(labels, scores, merge_every=3):
    """Feeds single videos through each metric's own combiner in several accumulators, as Beam does."""
    config = text_format.Parse("model_specs { label_key: 'labels' }", tfma.EvalConfig())
    values = {}
    for metric in (metrics.F1(), metrics.Precision(), metrics.Recall()):
        counts, derived = metric.computations(eval_config=config)
        combiner = counts.combiner
        accumulators = [combiner.create_accumulator()]
        for row, (truth, score) in enumerate(zip(labels, scores, strict=True)):
            inputs = tfma.metrics.StandardMetricInputs(
                {"labels": truth[None], "predictions": score[None], "example_weights": np.array([1.0])}
            )
            accumulators[-1] = combiner.add_input(accumulators[-1], inputs)
            if row % merge_every == 0:
                accumulators.append(combiner.create_accumulator())
        merged = combiner.extract_output(combiner.merge_accumulators(accumulators))
        [(key, value)] = derived.result(merged).items()
        values[key.name] = value
    return values


def test_micro_scores_are_those_of_the_pooled_decisions():
    generator = np.random.default_rng(0)
    labels = (generator.random((50, 30)) < 0.1).astype(np.float32)
    scores = np.clip(labels * 0.3 + generator.random((50, 30)) * 0.6, 0, 1).astype(np.float32)
    hits = ((scores > 0.5) & (labels == 1)).sum()
    precision, recall = hits / (scores > 0.5).sum(), hits / labels.sum()
    found = evaluate(labels, scores)
    assert found["precision"] == pytest.approx(precision, abs=1e-12)
    assert found["recall"] == pytest.approx(recall, abs=1e-12)
    assert found["f1"] == pytest.approx(2 * precision * recall / (precision + recall), abs=1e-12)


def test_the_thesis_precision_and_recall_give_its_f1():
    # Table 15: P 0.788 and R 0.723 were published with F1 0.754.
    assert metrics.f1(723, 1000 * 0.723 / 0.788 - 723, 277) == pytest.approx(0.754, abs=5e-4)


def test_a_score_of_exactly_one_half_is_no_decision():
    found = evaluate(np.array([[1.0, 0.0]]), np.array([[0.5, np.nextafter(0.5, 1)]], np.float32))
    assert found == {"precision": 0.0, "recall": 0.0, "f1": 0.0}


def test_undefined_scores_are_zero():
    assert evaluate(np.zeros((2, 3)), np.zeros((2, 3))) == {"precision": 0.0, "recall": 0.0, "f1": 0.0}


def test_one_nan_score_makes_every_score_nan():
    scores = np.full((4, 3), 0.9)
    scores[2, 1] = np.nan
    assert all(np.isnan(value) for value in evaluate(np.ones((4, 3)), scores).values())


def test_a_beam_worker_imports_the_metrics_without_tfx():
    # A worker process loads nothing but what it unpickles; tfma.EvalConfig is only there once TFX is.
    command = "import sys, components.evaluator.metrics; assert 'tfx' not in sys.modules"
    subprocess.run([sys.executable, "-c", command], check=True, capture_output=True)
