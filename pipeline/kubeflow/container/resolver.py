"""The first step of a package: resolves settings for all others, and what they may take from KFP's cache."""

from typing import Any

from pipeline.kubeflow.container.executor_input import ExecutorInput
from pipeline.kubeflow.container.journal import Journal
from pipeline.kubeflow.container.volume import StepFolder
from pipeline.kubeflow.graph import SEPARATOR, Places
from pipeline.kubeflow.parameters import (
    GENERATION_OUTPUTS,
    require_shared_artifacts,
    resolve_parameters,
    settings_output,
)


def resolve(executor_input: ExecutorInput, places: Places, graph: str, folder: StepFolder | None) -> dict[str, Any]:
    """Runs the step.

    Args:
        executor_input: the launcher's input.
        places: directories of the package.
        graph: its edges, joined.
        folder: of the step on the volume of large artifacts; None for a package that has none.

    Returns:
        KFP's ExecutorOutput for the launcher: `{"parameterValues": ...}`.

    Raises:
        InputError: a parameter is wrong, the data cannot be used, the volume cannot be written, or an engine needs one.
    """
    resolved = resolve_parameters(**executor_input.parameters, places=places, graph=graph.split(SEPARATOR))
    require_shared_artifacts(resolved.settings.beam, folder is not None)
    values = resolved.for_steps()
    if folder:
        journal = Journal(folder.volume)
        generations = {
            output: journal.generation(step, values[settings_output(step)])
            for step, output in GENERATION_OUTPUTS.items()
            if output in executor_input.output_parameters
        }
        journal.enter_run(folder.run, places.push_directory, generations.values())
        values |= generations
    return {"parameterValues": values}
