"""What a run prints about a finished step."""

from collections.abc import Callable, Mapping

from components.drift_detector.drift import Drift
from components.evaluator.verdict import Verdict
from components.example_gen.component import read_summary
from components.teacher_predictions.artifact import LEFT_OUT, SOFT_TARGETS
from components.tuner.component import read_trials
from models.input.soft_targets import TOP
from pipeline.data.ingest_findings import describe_ingest
from pipeline.reports.run.anomalies import describe_anomalies
from pipeline.steps import Step, StepRun


def findings(step: StepRun) -> list[str]:
    """Lines about the results of a step; none for most steps."""
    return _FINDINGS[Step(step.name)](step) if step.name in _FINDINGS else []


def _example_gen(step: StepRun) -> list[str]:
    summary = read_summary(step.outputs["quarantine"])
    counts = ", ".join(f"{count:,} {split}" for split, count in summary.videos.items())
    return [f"videos: {counts}", *describe_ingest(summary, step.outputs["quarantine"], step.outputs["quarantine"])]


def _example_validator(step: StepRun) -> list[str]:
    return describe_anomalies(step.outputs["anomalies"]) or ["no anomalies"]


def _drift_detector(step: StepRun) -> list[str]:
    return Drift.read(step.outputs["drift"]).describe()


def _teacher_predictions(step: StepRun) -> list[str]:
    left_out = step.properties[SOFT_TARGETS][LEFT_OUT]
    return [f"labels beyond the best {TOP}, which count as 0: {left_out:.2%} of all probability"]


def _tuner(step: StepRun) -> list[str]:
    return [read_trials(step.outputs["tuner_results"]).describe()]


def _evaluator(step: StepRun) -> list[str]:
    verdict = Verdict.read(step.outputs["evaluation"])
    return ["blessed" if verdict.blessed else "not blessed", *verdict.reasons]


def _pusher(step: StepRun) -> list[str]:
    model = step.properties["pushed_model"]
    version = model.get("pushed_version")
    if model["pushed"]:
        return [f"pushed version {version}"]
    return [f"nothing pushed: version {version} is this model" if version else "nothing pushed: not blessed"]


_FINDINGS: Mapping[str, Callable[[StepRun], list[str]]] = {
    Step.EXAMPLE_GEN: _example_gen,
    Step.EXAMPLE_VALIDATOR: _example_validator,
    Step.DRIFT_DETECTOR: _drift_detector,
    Step.TEACHER_PREDICTIONS: _teacher_predictions,
    Step.TUNER: _tuner,
    Step.EVALUATOR: _evaluator,
    Step.PUSHER: _pusher,
}
