"""Outputs that a package adds to a step's own, for the UI of Kubeflow Pipelines to show."""

from pipeline.steps import TRAITS, Step

PAGE, SCORES = "page", "scores"


def shown_outputs(step: str) -> dict[str, str]:
    """The KFP types of a step's added outputs by name."""
    return {
        **({PAGE: "system.HTML"} if TRAITS[Step(step)].page else {}),
        **({SCORES: "system.Metrics"} if step == Step.EVALUATOR else {}),
    }
