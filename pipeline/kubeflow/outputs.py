"""Outputs that a package adds to a step, for the UI of Kubeflow Pipelines to show."""

from pipeline.steps import TRAITS, Step

PAGE, SCORES = "page", "scores"


def shown_outputs(step: str) -> dict[str, str]:
    """KFP types of the outputs that are added to a step, by name."""
    return {
        **({PAGE: "system.HTML"} if TRAITS[Step(step)].page else {}),
        **({SCORES: "system.Metrics"} if step == Step.EVALUATOR else {}),
    }
