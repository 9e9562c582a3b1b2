"""What a run scored on its three splits."""

from typing import Any

from components.evaluator.verdict import Verdict
from models.metrics.video_metrics import SCORES
from models.training.log import TrainingLog


def split_scores(log: TrainingLog, verdict: Verdict) -> dict[str, dict[str, Any]]:
    """Videos and scores by split, and where they were measured.

    Args:
        log: of the training; train and validation are those of its best epoch.
        verdict: of the Evaluator, which measured the test split.
    """
    best = log.epochs[log.best_epoch]
    test = {name: score for name, score in verdict.overall.scores.items() if name in SCORES}
    source = f"training, epoch {best.epoch + 1} of {len(log.epochs)}"
    return {
        "train": {"videos": best.videos, "f1": best.f1, "source": source},
        "validation": {"videos": log.validation_videos, "f1": best.val_f1, "source": source},
        "test": {"videos": verdict.overall.videos, **test, "source": "Evaluator"},
    }
