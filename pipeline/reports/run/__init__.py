"""The report of a run: linked HTML pages that work offline and load nothing."""

from pathlib import Path
from typing import Any

from components.dataset_statistics.page import render
from components.dataset_statistics.plots import frequency_plot
from components.dataset_statistics.statistics import Statistics
from components.drift_detector.drift import Drift
from components.evaluator.page import evaluation_page
from components.evaluator.verdict import Verdict
from components.example_gen.splits import SPLITS
from components.pages import page_templates
from components.tuner.component import read_trials
from components.tuner.page import trials_page
from models.whole_files import write_file
from pipeline.reports.run.anomalies import read_anomalies
from pipeline.reports.run.overview import overview
from pipeline.reports.run.training import training
from pipeline.reports.scores import RunScores
from pipeline.settings import RunSettings
from pipeline.steps import Step, StepRun, report_pages


def write_report(settings: RunSettings, scores: RunScores, steps: list[StepRun], out: Path) -> Path:
    """Writes OUT/report/ and returns the path of its index.html.

    Args:
        settings: of the run.
        scores: of the run.
        steps: all steps of the finished run, with their artifacts.
        out: the run folder.
    """
    outputs = {step.name: step.outputs for step in steps}
    statistics = Statistics.read(outputs[Step.DATASET_STATISTICS]["statistics"])
    anomalies = read_anomalies(outputs[Step.EXAMPLE_VALIDATOR]["anomalies"])
    trained = training(outputs[Step.TRAINER]["model"])
    verdict = Verdict.read(outputs[Step.EVALUATOR]["evaluation"])
    train = SPLITS[0]
    plots = [trained["plots"]["F1"], frequency_plot(train, statistics.splits[train].label_frequency)]
    pages = {
        "index": overview(settings, scores, verdict, steps, plots),
        "anomalies": {"anomalies": anomalies, "drift": Drift.read(outputs[Step.DRIFT_DETECTOR]["drift"])},
        "training": trained,
    }
    shared: dict[str, Any] = {
        "subject": settings.experiment,
        "synthetic": statistics.synthetic,
        "navigation": report_pages(outputs),
    }
    folder = out / "report"
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in pages.items():
        write_file(folder / f"{name}.html", render_page(name, **shared, **content))
    write_file(folder / "statistics.html", render(statistics, page="statistics", **shared))
    evaluation = evaluation_page(verdict, statistics.names, page="evaluation", **shared)
    write_file(folder / "evaluation.html", evaluation)
    if Step.TUNER in outputs:
        tuning = trials_page(read_trials(outputs[Step.TUNER]["tuner_results"]), page="tuning", **shared)
        write_file(folder / "tuning.html", tuning)
    return folder / "index.html"


def render_page(name: str, **content: Any) -> str:
    """Renders a page that has a template here.

    Args:
        name: of the page; with `.html`, of its template and file.
        **content: variables of the template and of run.html, see `page_templates`.
    """
    templates = page_templates(Path(__file__).parent)
    return templates.get_template(f"{name}.html").render(page=name, splits=SPLITS, **content)
