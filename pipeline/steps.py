"""The steps of the pipeline: their names, and what runners, caches and reports need to know of each."""

from collections.abc import Mapping
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
        page: the page of the report with its results, a key of PAGES; "" without one.
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
    Step.IMPORT_HYPERPARAMETERS: Traits(),
    Step.TUNER: Traits(page="tuning", per_experiment=True, gpu=True),
    Step.TRAINER: Traits(page="training", per_experiment=True, gpu=True),
    Step.CHAMPION_RESOLVER: Traits(per_experiment=True, cached=False),
    Step.EVALUATOR: Traits(page="evaluation", per_experiment=True),
    Step.PUSHER: Traits(per_experiment=True, cached=False),
}

PER_EXPERIMENT = tuple(step for step, traits in TRAITS.items() if traits.per_experiment)

# Titles of a report's pages by file name, in the order in which they are read; `index` shows scores and all steps.
PAGES = {
    "index": "Scores",
    "statistics": "Data",
    "anomalies": "Anomalies",
    "tuning": "Tuning",
    "training": "Training",
    "evaluation": "Evaluation",
}

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
