"""Runs one step of the pipeline in a container."""

import hashlib
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
from pipeline.beam.engine import cancel_recorded_job
from pipeline.beam.options import beam_args
from pipeline.beam.preflight import preflight
from pipeline.beam_settings import BeamSettings
from pipeline.data.vocabulary import load_vocabulary
from pipeline.kubeflow.container.artifacts import Artifacts, input_artifacts, metadata_of, output_artifacts
from pipeline.kubeflow.container.executor_input import ExecutorInput, local_path
from pipeline.kubeflow.container.results import log_results, scores, write_page
from pipeline.kubeflow.graph import Places, build_pipeline
from pipeline.kubeflow.outputs import PAGE, SCORES, shown_outputs
from pipeline.kubeflow.parameters import ResolvedSettings
from pipeline.steps import Step

_logger = logging.getLogger(__name__)


def run_step(name: str, executor_input: ExecutorInput, resolved: ResolvedSettings, places: Places) -> dict[str, Any]:
    """Runs a step as the local runner does.

    Args:
        name: the step's id.
        executor_input: the launcher's input.
        resolved: output of the first step.
        places: directories of the package.

    Returns:
        KFP's ExecutorOutput for the launcher: `{"artifacts": ...}` with the metadata of each output.

    Raises:
        InputError: the package and this image differ, or the step itself raises it.
    """
    settings = resolved.settings
    scratch = executor_input.output_file.parent / "scratch"
    own_places = Places(places.push_directory, places.work_directory or str(scratch))
    pipeline = build_pipeline(settings, load_vocabulary(settings.data), own_places, resolved.synthetic)
    node = next((node for node in pipeline.components if node.id == name), None)
    if not isinstance(node, BaseComponent):
        raise InputError(f"this image has no step {name}: compile the package again with the image's release")
    inputs = input_artifacts(executor_input, {key: channel.type for key, channel in node.inputs.items()})
    outputs = output_artifacts(executor_input, {key: channel.type for key, channel in node.outputs.items()})
    for side, artifacts in (("input", inputs), ("output", outputs)):
        for key in artifacts:
            _logger.info("%s %s: %s", side, key, executor_input.uri(f"{side}s", key))
    properties = exec_properties(pipeline, name)
    if name == Step.EXAMPLE_GEN:
        properties["span"] = resolved.span
    executor = node.executor_spec.executor_class
    job_file = None
    if settings.beam.on_engine and issubclass(executor, BaseBeamExecutor):
        job_file = _check_engine(settings.beam, inputs, outputs, places.work_directory)
    _executor(node, beam_args(settings.beam, job_file), scratch).Do(inputs, outputs, properties)
    shutil.rmtree(scratch, ignore_errors=True)
    outputs_utils.tag_output_artifacts_with_version(outputs)
    artifacts = _output_artifacts(executor_input, inputs, outputs)
    return {"artifacts": artifacts | _shown_artifacts(name, executor_input, inputs, outputs, resolved)}


def _check_engine(settings: BeamSettings, inputs: Artifacts, outputs: Artifacts, work_directory: str) -> Path | None:
    """Cancels the job of a killed attempt, and checks that workers see the inputs and outputs.

    Returns:
        The file in which jobs of this attempt are recorded; None without a volume that outlives it.
    """
    [output] = next(iter(outputs.values()))
    job_file = None
    if work_directory:
        folder = Path(work_directory, "jobs")
        folder.mkdir(parents=True, exist_ok=True)
        job_file = folder / f"{hashlib.sha256(output.uri.encode()).hexdigest()[:16]}.json"
        cancel_recorded_job(job_file)
    preflight(settings, output.uri, [artifact.uri for [artifact] in inputs.values()], job_file)
    return job_file


def exec_properties(pipeline: tfx.dsl.Pipeline, name: str) -> dict[str, Any]:
    """The execution properties of a step, in the form of TFX's launcher."""
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


def _output_artifacts(executor_input: ExecutorInput, inputs: Artifacts, outputs: Artifacts) -> dict[str, Any]:
    """The step's own outputs, as ExecutorOutput lists them."""
    uris = {artifact.uri: executor_input.uri("inputs", key) for key, [artifact] in inputs.items()}
    listed = {}
    for key, [artifact] in outputs.items():
        uris[artifact.uri] = uri = executor_input.uri("outputs", key)
        listed[key] = {"artifacts": [{"uri": uri, "metadata": metadata_of(artifact, uris)}]}
    return listed


def _shown_artifacts(
    name: str, executor_input: ExecutorInput, inputs: Artifacts, outputs: Artifacts, resolved: ResolvedSettings
) -> dict[str, Any]:
    """The outputs for KFP's UI, which are written here, as ExecutorOutput lists them."""
    paths: Mapping[str, str] = {key: artifact.uri for key, [artifact] in outputs.items()}
    listed = {}
    for key in shown_outputs(name):
        uri, metadata = executor_input.uri("outputs", key), {}
        if key == PAGE:
            write_page(name, paths, resolved, Path(local_path(uri)))
        else:
            Path(local_path(uri)).mkdir(parents=True, exist_ok=True)
        if key == SCORES:
            metadata = scores(paths)
            log_results(inputs["model"][0].uri, paths, resolved)
        listed[key] = {"artifacts": [{"uri": uri, "metadata": metadata}]}
    return listed
