"""The report of a run: five linked HTML pages that are read offline and load nothing."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from components.example_gen.splits import SPLITS
from components.example_gen.synthetic import read_synthetic
from components.pages import page_templates
from pipeline.anomalies import read_anomalies
from pipeline.local_runner import Step
from pipeline.report.evaluation import evaluation
from pipeline.report.overview import overview
from pipeline.report.statistics import statistics
from pipeline.report.training import training
from pipeline.settings import RunSettings

# Pages by file name, in the order in which they are read.
NAVIGATION = {
    "index": "Scores",
    "statistics": "Data",
    "anomalies": "Anomalies",
    "training": "Training",
    "evaluation": "Evaluation",
}


def write_report(
    settings: RunSettings, scores: dict[str, Any], steps: list[Step], out: Path, names: Sequence[str]
) -> Path:
    """Writes OUT/report/ and returns the path of its index.html.

    Args:
        settings: of the run.
        scores: what `scores.json` holds.
        steps: all steps of the finished run, with their artifacts.
        out: the run's folder.
        names: label names in the order of their ids.
    """
    outputs = {step.name: step.outputs for step in steps}
    anomalies = read_anomalies(outputs["ExampleValidator"]["anomalies"])
    pages = {
        "index": overview(settings, scores, steps),
        "statistics": statistics(outputs["StatisticsGen"]["statistics"], outputs["ExampleGen"]["quarantine"], names),
        "anomalies": {"anomalies": anomalies},
        "training": training(outputs["Trainer"]["model"]),
        "evaluation": evaluation(outputs["Evaluator"]["evaluation"]),
    }
    shared = {
        "subject": settings.experiment,
        "synthetic": read_synthetic(settings.data.pattern),
        "navigation": NAVIGATION,
    }
    folder = out / "report"
    folder.mkdir(parents=True, exist_ok=True)
    templates = page_templates(Path(__file__).parent)
    for name, content in pages.items():
        # A page's template has its file name.
        html = templates.get_template(f"{name}.html").render(page=name, splits=SPLITS, **shared, **content)
        (folder / f"{name}.html").write_text(html, encoding="utf-8")
    return folder / "index.html"
