"""The steps of the pipeline: their names, and what runners, caches and reports need to know of each."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal


class Step(StrEnum):
    """Ids of the pipeline's nodes, in the order in which they run."""

    EXAMPLE_GEN = "ExampleGen"
    IMPORT_SCHEMA_GEN = "ImportSchemaGen"
    DATASET_STATISTICS = "DatasetStatistics"
    STATISTICS_GEN = "StatisticsGen"
    TRANSFORM = "Transform"
    DRIFT_DETECTOR = "DriftDetector"
    EXAMPLE_VALIDATOR = "ExampleValidator"
    TEACHER_PREDICTIONS = "TeacherPredictions"
    IMPORT_HYPERPARAMETERS = "ImportHyperparameters"
    TUNER = "Tuner"
    TRAINER = "Trainer"
    CHAMPION_RESOLVER = "ChampionResolver"
    EVALUATOR = "Evaluator"
    PUSHER = "Pusher"


@dataclass(frozen=True)
class Traits:
    """What is true of a step on every runner.

    Attributes:
        page: the HTML page with its results, a key of PAGES; "" without one.
        per_experiment: whether its results differ between experiments on the same data.
        gpu: whether it uses an accelerator where there is one.
        cached: whether Kubeflow Pipelines may cache it; not if it depends on the model that serves, which is no part of
            the cache key there.
    """

    page: str = ""
    per_experiment: bool = False
    gpu: bool = False
    cached: bool = True


TRAITS: Mapping[Step, Traits] = {
    Step.EXAMPLE_GEN: Traits(),
    Step.IMPORT_SCHEMA_GEN: Traits(),
    Step.DATASET_STATISTICS: Traits(page="statistics"),
    Step.STATISTICS_GEN: Traits(),
    Step.TRANSFORM: Traits(),
    Step.DRIFT_DETECTOR: Traits(page="anomalies", per_experiment=True, cached=False),
    Step.EXAMPLE_VALIDATOR: Traits(page="anomalies"),
    Step.TEACHER_PREDICTIONS: Traits(per_experiment=True, gpu=True),
    Step.IMPORT_HYPERPARAMETERS: Traits(),
    Step.TUNER: Traits(page="tuning", per_experiment=True, gpu=True),
    Step.TRAINER: Traits(page="training", per_experiment=True, gpu=True),
    Step.CHAMPION_RESOLVER: Traits(per_experiment=True, cached=False),
    Step.EVALUATOR: Traits(page="evaluation", per_experiment=True),
    Step.PUSHER: Traits(per_experiment=True, cached=False),
}

PER_EXPERIMENT = tuple(step for step, traits in TRAITS.items() if traits.per_experiment)


@dataclass(frozen=True)
class Page:
    """An HTML page; which steps it is about, say their `Traits`.

    Attributes:
        title: in its heading and in links to it.
        file: its name in the artifact of its step and in the folder of its command; "" where only a report has it.
        command: of `yt8m`, that writes it without a run; "" where none does.
        in_report: whether the report of a run has it, as `OUT/report/<key>.html`.
    """

    title: str
    file: str = ""
    command: str = ""
    in_report: bool = True


# All HTML pages that anything writes, in the order in which they are read.
PAGES: Mapping[str, Page] = {
    "index": Page("Scores"),
    "statistics": Page("Data", "statistics.html", "stats"),
    "anomalies": Page("Anomalies"),
    "tuning": Page("Search", "trials.html", "tune"),
    "training": Page("Training"),
    "evaluation": Page("Evaluation", "evaluation.html"),
    "comparison": Page("Runs and the thesis", "report.html", "report", in_report=False),
}


def report_pages(steps: Iterable[str]) -> dict[str, str]:
    """Titles of the pages that the report of a run has, by their keys.

    Args:
        steps: names of the run's steps.
    """
    written = {"index", *(TRAITS[Step(step)].page for step in steps)}
    return {name: page.title for name, page in PAGES.items() if page.in_report and name in written}


State = Literal["running", "done", "cached", "failed", "stopped"]


@dataclass
class StepRun:
    """A step in a run.

    Attributes:
        name: of the step.
        seconds: wall time.
        outputs: URIs of its artifacts by name.
        properties: custom properties of its artifacts, by the names of artifact and property.
    """

    name: str
    state: State = "running"
    seconds: float = 0.0
    peak_memory_mb: int = 0
    outputs: dict[str, str] = field(default_factory=dict)
    properties: dict[str, dict[str, Any]] = field(default_factory=dict)
