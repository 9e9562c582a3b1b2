"""The front page: scores and how they were measured, the verdict, and the steps of the run."""

from collections.abc import Sequence
from typing import Any

import yaml
from markupsafe import Markup

from components.evaluator.page import SCORES
from components.evaluator.verdict import Verdict
from pipeline.reports.scores import RunScores
from pipeline.settings import RunSettings
from pipeline.steps import TRAITS, Step, StepRun

# The scores that the page begins with.
HEADLINE = ("f1", "gap", "map_at_k", "hit_at_1")


def overview(
    settings: RunSettings, scores: RunScores, verdict: Verdict, steps: list[StepRun], plots: Sequence[Markup]
) -> dict[str, Any]:
    """The variables of index.html.

    Args:
        settings: of the run.
        scores: of the run.
        verdict: the Evaluator's.
        steps: all steps of the finished run.
        plots: the training curve and the label frequencies.
    """
    [pusher] = [step for step in steps if step.name == Step.PUSHER]
    overall = verdict.overall
    return {
        "headline": {
            SCORES[name]: (overall.scores[name], overall.intervals.get(name))
            for name in HEADLINE
            if name in overall.scores
        },
        "plots": plots,
        "scores": scores,
        "published": settings.published,
        "reasons": verdict.reasons,
        "pushed": _pushed(pusher),
        "steps": steps,
        "page_of": {step.name: TRAITS[Step(step.name)].page for step in steps},
        "settings": yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False, allow_unicode=True),
    }


def _pushed(pusher: StepRun) -> str:
    properties = pusher.properties["pushed_model"]
    version = properties.get("pushed_version")
    if properties["pushed"]:
        return f"pushed as version {version}"
    return f"not pushed: it is version {version}, which serves already" if version else "not pushed"
