"""Outputs of steps that a package treats in its own way: those it adds for KFP's UI, and the large ones."""

from collections.abc import Mapping

from pipeline.steps import TRAITS, Step

PAGE, SCORES = "page", "scores"

# Outputs that grow with the data or the model. With `cluster.artifacts: volume` they stay on the volume whatever their
# size: where an artifact lies must not depend on the settings of a run, and small ones are in nobody's way there.
LARGE_OUTPUTS: Mapping[Step, tuple[str, ...]] = {
    Step.EXAMPLE_GEN: ("examples",),
    Step.TRANSFORM: ("transformed_examples",),
    Step.TEACHER_PREDICTIONS: ("soft_targets",),
    Step.TRAINER: ("model",),
    Step.CHAMPION_RESOLVER: ("champion",),
}


def shown_outputs(step: str) -> dict[str, str]:
    """KFP types of the outputs that are added to a step, by name."""
    return {
        **({PAGE: "system.HTML"} if TRAITS[Step(step)].page else {}),
        **({SCORES: "system.Metrics"} if step == Step.EVALUATOR else {}),
    }
