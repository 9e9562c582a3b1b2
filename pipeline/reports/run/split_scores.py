"""Scores by split as JSON, for the log of a run on Kubeflow Pipelines."""

from typing import Any

from components.evaluator.verdict import Verdict
from models.training.log import TrainingLog
from pipeline.reports.scores import Splits


def split_scores(log: TrainingLog, verdict: Verdict) -> dict[str, dict[str, Any]]:
    """`Splits.of` without the scores that a split does not have."""
    return Splits.of(log, verdict).model_dump(exclude_unset=True)
