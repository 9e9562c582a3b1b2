"""The first page: scores and how they were measured, the verdict, and the steps of the run."""

from typing import Any

import yaml

from components.evaluator.verdict import Verdict
from pipeline.reports.scores import RunScores
from pipeline.settings import RunSettings
from pipeline.steps import Step, StepRun


def overview(settings: RunSettings, scores: RunScores, steps: list[StepRun]) -> dict[str, Any]:
    """The variables of index.html, see `write_report`."""
    by_name = {step.name: step for step in steps}
    return {
        "scores": scores,
        "published": settings.published,
        "reasons": Verdict.read(by_name[Step.EVALUATOR].outputs["evaluation"]).reasons,
        "pushed": _pushed(by_name[Step.PUSHER]),
        "steps": steps,
        "settings": yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False, allow_unicode=True),
    }


def _pushed(pusher: StepRun) -> str:
    properties = pusher.properties["pushed_model"]
    version = properties.get("pushed_version")
    if properties["pushed"]:
        return f"pushed as version {version}"
    return f"nothing pushed: version {version} that serves is this model" if version else "nothing pushed"
