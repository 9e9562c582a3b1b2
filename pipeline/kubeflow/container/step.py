"""One step of the pipeline, run in a container."""

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfx import v1 as tfx
from tfx.dsl.compiler.compiler import Compiler
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.dsl.components.base.base_component import BaseComponent
from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.orchestration import data_types_utils
from tfx.orchestration.portable import inputs_utils, outputs_utils

from models.errors import InputError
from pipeline.data.preparation import beam_args
from pipeline.data.vocabulary import find_vocabulary
from pipeline.kubeflow.container.artifacts import Artifacts, ExecutorInput, local_path, metadata_of
from pipeline.kubeflow.container.results import log_results, scores, write_page
from pipeline.kubeflow.graph import Places, build_pipeline
from pipeline.kubeflow.outputs import PAGE, SCORES, shown_outputs
from pipeline.kubeflow.parameters import ResolvedSettings
from pipeline.settings import RunSettings
from pipeline.steps import Step

_logger = logging.getLogger(__name__)


def run_step(name: str, given: ExecutorInput, resolved: ResolvedSettings, places: Places) -> dict[str, Any]:
    """Runs a node of the pipeline that the settings make, as the local runner does.

    Args:
        name: the node's id.
        given: what the launcher says.
        resolved: what the first step made of the run's parameters.
        places: of the package.

    Returns:
        What the launcher wants to know: the metadata of each output, `{"artifacts": ...}` of KFP's ExecutorOutput.

    Raises:
        InputError: the package is another image's, an input is not there, or what the node itself refuses.
    """
    settings = resolved.settings
    scratch = given.output_file.parent / "scratch"
    here = Places(places.push_directory, places.work_directory or str(scratch))
    pipeline = build_pipeline(settings, find_vocabulary(settings.data), here)
    node = next((node for node in pipeline.components if node.id == name), None)
    if not isinstance(node, BaseComponent):
        raise InputError(f"this image has no step {name}: compile the package anew with the image's release")
    inputs = given.inputs({key: channel.type for key, channel in node.inputs.items()})
    outputs = given.outputs({key: channel.type for key, channel in node.outputs.items()})
    for side, artifacts in (("input", inputs), ("output", outputs)):
        for key, [artifact] in artifacts.items():
            _logger.info("%s %s: %s at %s", side, key, given.uri(f"{side}s", key), artifact.uri)
    properties = exec_properties(pipeline, name)
    if name == Step.EXAMPLE_GEN:
        properties["span"] = resolved.span
    _executor(node, beam_args(settings.beam), scratch).Do(inputs, outputs, properties)
    shutil.rmtree(scratch, ignore_errors=True)
    outputs_utils.tag_output_artifacts_with_version(outputs)
    return {"artifacts": _told(given, inputs, outputs) | _results(name, given, inputs, outputs, settings)}


def exec_properties(pipeline: tfx.dsl.Pipeline, name: str) -> dict[str, Any]:
    """What the node's executor gets, in the form in which TFX's launcher would give it."""
    [node] = [
        node.pipeline_node for node in Compiler().compile(pipeline).nodes if node.pipeline_node.node_info.id == name
    ]
    return data_types_utils.build_parsed_value_dict(inputs_utils.resolve_parameters_with_schema(node.parameters))


def _executor(node: BaseComponent, arguments: list[str], scratch: Path) -> BaseExecutor:
    executor = node.executor_spec.executor_class
    scratch.mkdir(parents=True, exist_ok=True)
    if issubclass(executor, BaseBeamExecutor):
        return executor(BaseBeamExecutor.Context(beam_pipeline_args=arguments, tmp_dir=str(scratch), unique_id="0"))
    return executor(BaseExecutor.Context(tmp_dir=str(scratch), unique_id="0"))


def _told(given: ExecutorInput, inputs: Artifacts, outputs: Artifacts) -> dict[str, Any]:
    uris = {artifact.uri: given.uri("inputs", key) for key, [artifact] in inputs.items()}
    told = {}
    for key, [artifact] in outputs.items():
        uris[artifact.uri] = uri = given.uri("outputs", key)
        told[key] = {"artifacts": [{"uri": uri, "metadata": metadata_of(artifact, uris)}]}
    return told


def _results(
    name: str, given: ExecutorInput, inputs: Artifacts, outputs: Artifacts, settings: RunSettings
) -> dict[str, Any]:
    paths: Mapping[str, str] = {key: artifact.uri for key, [artifact] in outputs.items()}
    told = {}
    for key in shown_outputs(name):
        uri, metadata = given.uri("outputs", key), {}
        if key == PAGE:
            write_page(name, paths, settings, Path(local_path(uri)))
        else:
            Path(local_path(uri)).mkdir(parents=True, exist_ok=True)
        if key == SCORES:
            metadata = scores(paths)
            log_results(inputs["model"][0].uri, paths, settings)
        told[key] = {"artifacts": [{"uri": uri, "metadata": metadata}]}
    return told
