"""Outputs of a step for KFP's UI: its page (system.HTML) and its scores (system.Metrics)."""

import json
import logging
import math
from collections.abc import Callable, Mapping
from pathlib import Path

from components.drift_detector.drift import Drift
from components.evaluator.verdict import Verdict
from components.example_gen.synthetic import read_synthetic
from components.trainer.trainer import read_training_log
from models.metrics.video_metrics import SCORES as MEASURED
from pipeline.kubeflow import log_lines
from pipeline.kubeflow.log_lines import log_line
from pipeline.reports.run import render_page
from pipeline.reports.run.anomalies import read_anomalies
from pipeline.reports.run.training import training
from pipeline.reports.scores import Splits
from pipeline.settings import RunSettings
from pipeline.steps import PAGES, Step

_logger = logging.getLogger(__name__)

# Renders a page from the step's outputs (paths by name) and the settings of the run.
Render = Callable[[Mapping[str, str], RunSettings], str]


def write_page(step: str, outputs: Mapping[str, str], settings: RunSettings, path: Path) -> None:
    """Writes a step's page; an error is written to the page and fails nothing.

    Args:
        step: a step with a page.
        outputs: paths of its artifacts by name.
        settings: settings of the run.
        path: the file to write.
    """
    try:
        html = PAGE_OF[step](outputs, settings)
    except Exception:
        _logger.exception("the page of %s could not be rendered", step)
        html = f"<p>This page of {step} could not be rendered: the step's log says why.</p>"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(html, "utf-8")


def scores(outputs: Mapping[str, str]) -> dict[str, float]:
    """The Evaluator's scores of all test videos; empty if they cannot be read."""
    try:
        overall = Verdict.read(outputs["evaluation"]).overall.scores
    except Exception:
        _logger.exception("the scores could not be read")
        return {}
    return {name: float(score) for name, score in overall.items() if name in MEASURED and math.isfinite(score)}


def log_results(model: str, outputs: Mapping[str, str], settings: RunSettings) -> None:
    """Logs one line with the scores and one with everything that a comparison of runs needs.

    Args:
        model: path of the candidate, which has its training log.
        outputs: paths of the Evaluator's artifacts by name.
        settings: settings of the run.
    """
    _logger.info(log_line(log_lines.SCORES, scores(outputs)))
    try:
        log = read_training_log(model)
        result = {
            "settings": settings.model_dump(mode="json"),
            "scores": {
                "synthetic": read_synthetic(settings.data.pattern) is not None,
                "splits": Splits.of(log, Verdict.read(outputs["evaluation"])).model_dump(exclude_unset=True),
            },
            "training_log": json.loads(log.to_json()),
        }
    except Exception:
        _logger.exception("the run's result could not be read")
        return
    _logger.info(log_line(log_lines.RESULT, result))


def _written(output: str, file: str) -> Render:
    return lambda outputs, settings: Path(outputs[output], file).read_text("utf-8")


def _rendered(name: str, settings: RunSettings, **content: object) -> str:
    data = settings.data.pattern
    subject = settings.experiment or data
    return render_page(name, subject=subject, synthetic=read_synthetic(data), navigation={}, **content)


def _anomalies(outputs: Mapping[str, str], settings: RunSettings) -> str:
    return _rendered("anomalies", settings, anomalies=read_anomalies(outputs["anomalies"]), drift=None)


def _drift(outputs: Mapping[str, str], settings: RunSettings) -> str:
    return _rendered("anomalies", settings, anomalies=None, drift=Drift.read(outputs["drift"]))


def _training(outputs: Mapping[str, str], settings: RunSettings) -> str:
    return _rendered("training", settings, **training(outputs["model"]))


# By step; `pipeline.steps` has the table of all pages.
PAGE_OF: Mapping[str, Render] = {
    Step.DATASET_STATISTICS: _written("statistics", PAGES["statistics"].file),
    Step.EXAMPLE_VALIDATOR: _anomalies,
    Step.DRIFT_DETECTOR: _drift,
    Step.TUNER: _written("tuner_results", PAGES["tuning"].file),
    Step.TRAINER: _training,
    Step.EVALUATOR: _written("evaluation", PAGES["evaluation"].file),
}
