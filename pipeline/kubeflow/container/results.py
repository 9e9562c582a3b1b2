"""Outputs of a step for KFP's UI: its page (system.HTML) and its scores (system.Metrics)."""

import json
import logging
import math
from collections.abc import Callable, Mapping
from pathlib import Path

from components.drift_detector.drift import Drift
from components.evaluator.verdict import Verdict
from components.trainer.trainer import read_training_log
from models.metrics.video_metrics import ALL_SCORES as SCORE_NAMES
from pipeline.kubeflow import log_lines
from pipeline.kubeflow.log_lines import log_line
from pipeline.kubeflow.parameters import ResolvedSettings
from pipeline.reports.run import render_page
from pipeline.reports.run.anomalies import read_anomalies
from pipeline.reports.run.training import training
from pipeline.reports.scores import Splits
from pipeline.steps import PAGES, Step

_logger = logging.getLogger(__name__)

# Renders a page from the step's outputs (paths by name) and the output of the first step.
Render = Callable[[Mapping[str, str], ResolvedSettings], str]


def write_page(step: str, outputs: Mapping[str, str], resolved: ResolvedSettings, path: Path) -> None:
    """Writes a step's page; if it cannot be rendered, the page says so and the step still succeeds.

    Args:
        step: a step with a page.
        outputs: paths of its artifacts by name.
        resolved: output of the first step.
        path: the file to write.
    """
    try:
        html = PAGE_OF[step](outputs, resolved)
    except Exception:
        _logger.exception("the page of %s could not be rendered", step)
        html = f"<p>This page of {step} could not be rendered: see the log of the step.</p>"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(html, "utf-8")


def scores(outputs: Mapping[str, str]) -> dict[str, float]:
    """The Evaluator's scores of all test videos; empty if they cannot be read."""
    try:
        overall = Verdict.read(outputs["evaluation"]).overall.scores
    except Exception:
        _logger.exception("the scores could not be read")
        return {}
    return {name: float(score) for name, score in overall.items() if name in SCORE_NAMES and math.isfinite(score)}


def log_results(model: str, outputs: Mapping[str, str], resolved: ResolvedSettings) -> None:
    """Logs one line with the scores and one with everything that a comparison of runs needs.

    Args:
        model: path of the candidate, which has its training log.
        outputs: paths of the Evaluator's artifacts by name.
        resolved: output of the first step.
    """
    _logger.info(log_line(log_lines.SCORES, scores(outputs)))
    try:
        log = read_training_log(model)
        result = {
            "settings": resolved.settings.model_dump(mode="json"),
            "scores": {
                "synthetic": resolved.synthetic is not None,
                "splits": Splits.of(log, Verdict.read(outputs["evaluation"])).model_dump(exclude_unset=True),
            },
            "training_log": json.loads(log.to_json()),
        }
    except Exception:
        _logger.exception("the run's result could not be read")
        return
    _logger.info(log_line(log_lines.RESULT, result))


def _page_file(output: str, file: str) -> Render:
    return lambda outputs, resolved: Path(outputs[output], file).read_text("utf-8")


def _render(name: str, resolved: ResolvedSettings, **content: object) -> str:
    subject = resolved.settings.experiment or resolved.settings.data.pattern
    return render_page(name, subject=subject, synthetic=resolved.synthetic, navigation={}, **content)


def _anomalies(outputs: Mapping[str, str], resolved: ResolvedSettings) -> str:
    return _render("anomalies", resolved, anomalies=read_anomalies(outputs["anomalies"]), drift=None)


def _drift(outputs: Mapping[str, str], resolved: ResolvedSettings) -> str:
    return _render("anomalies", resolved, anomalies=None, drift=Drift.read(outputs["drift"]))


def _training(outputs: Mapping[str, str], resolved: ResolvedSettings) -> str:
    return _render("training", resolved, **training(outputs["model"]))


# By step; `pipeline.steps` has the table of all pages.
PAGE_OF: Mapping[str, Render] = {
    Step.DATASET_STATISTICS: _page_file("statistics", PAGES["statistics"].file),
    Step.EXAMPLE_VALIDATOR: _anomalies,
    Step.DRIFT_DETECTOR: _drift,
    Step.TUNER: _page_file("tuner_results", PAGES["tuning"].file),
    Step.TRAINER: _training,
    Step.EVALUATOR: _page_file("evaluation", PAGES["evaluation"].file),
}
