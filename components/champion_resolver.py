"""ChampionResolver: the model that serves now, which the new one has to beat.

A plain component, because open-source Kubeflow Pipelines cannot run TFX's Resolver nodes.
"""

from typing import Any

from tfx import v1 as tfx
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.types import artifact_utils, component_spec
from tfx.utils import io_utils, path_utils

from components.champion import VERSION
from components.resolving_driver import ResolvingDriver
from components.served_models import ModelCard, check_same_task, read_label_names, versions


class ChampionResolverSpec(component_spec.ComponentSpec):
    """Parameters, inputs and outputs of ChampionResolver."""

    PARAMETERS = {
        "push_directory": component_spec.ExecutionParameter(type=str),
        "sources": component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {"model": component_spec.ChannelParameter(type=tfx.types.standard_artifacts.Model)}
    OUTPUTS = {"champion": component_spec.ChannelParameter(type=tfx.types.standard_artifacts.Model)}


class ChampionResolverDriver(ResolvingDriver):
    """Looks up the champion: only another champion makes the comparison run again."""

    def resolve(self, input_dict: dict[str, list[tfx.dsl.Artifact]], exec_properties: dict[str, Any]) -> dict[str, Any]:
        """Adds the champion's version."""
        candidate = artifact_utils.get_single_instance(input_dict["model"])
        return {**exec_properties, VERSION: find_champion(candidate.uri, exec_properties["push_directory"])}


class ChampionResolverExecutor(base_executor.BaseExecutor):
    """Copies the champion into its artifact."""

    def Do(
        self,
        input_dict: dict[str, list[tfx.dsl.Artifact]],
        output_dict: dict[str, list[tfx.dsl.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the champion's SavedModel, or leaves the artifact empty with an empty version."""
        champion = artifact_utils.get_single_instance(output_dict["champion"])
        version = exec_properties.get(VERSION)
        if version is None:
            candidate = artifact_utils.get_single_instance(input_dict["model"])
            version = find_champion(candidate.uri, exec_properties["push_directory"])
        if version:
            source = f"{exec_properties['push_directory']}/{version}"
            io_utils.copy_dir(source, path_utils.serving_model_dir(champion.uri))
        champion.set_string_custom_property(VERSION, version)


class ChampionResolver(base_component.BaseComponent):
    """Finds the newest pushed model other than the candidate.

    Args:
        model: the candidate.
        push_directory: the folder that the Pusher pushes to.
        sources: fingerprint of the code, so that an edit runs the step again.
    """

    SPEC_CLASS = ChampionResolverSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(ChampionResolverExecutor)
    DRIVER_CLASS = ChampionResolverDriver

    def __init__(self, model: tfx.types.BaseChannel, push_directory: str, sources: str):
        champion = tfx.dsl.Channel(type=tfx.types.standard_artifacts.Model)
        super().__init__(
            spec=ChampionResolverSpec(model=model, push_directory=push_directory, sources=sources, champion=champion)
        )


def find_champion(candidate_uri: str, push_directory: str) -> str:
    """Version of the newest pushed model other than the candidate, or "".

    A candidate that serves already is compared with the version before it, so a repeated run finds its verdict cached.

    Raises:
        InputError: the champion has other labels or another level, so the two cannot be compared.
    """
    folder = path_utils.serving_model_dir(candidate_uri)
    candidate = ModelCard.read(folder)
    for version in reversed(versions(push_directory)):
        served = f"{push_directory}/{version}"
        if ModelCard.read(served).model_id == candidate.model_id:
            continue
        check_same_task(served, candidate.level, read_label_names(folder))
        return version
    return ""
