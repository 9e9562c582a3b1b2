"""Runs one step of the pipeline in a container."""

import hashlib
import logging
import shutil
from collections.abc import Mapping
from contextlib import nullcontext
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
from pipeline.beam.jobs import cancel_recorded_job
from pipeline.beam.options import beam_args
from pipeline.beam.preflight import preflight
from pipeline.beam_settings import BeamSettings
from pipeline.data.vocabulary import load_vocabulary
from pipeline.kubeflow.container.artifacts import Artifacts, input_artifacts, metadata_of, output_artifacts
from pipeline.kubeflow.container.executor_input import ExecutorInput, local_path
from pipeline.kubeflow.container.results import log_results, scores, write_page
from pipeline.kubeflow.container.volume import StepFolder
from pipeline.kubeflow.graph import Places, build_pipeline
from pipeline.kubeflow.outputs import LARGE_OUTPUTS, PAGE, SCORES, shown_outputs
from pipeline.kubeflow.parameters import GENERATION, ResolvedSettings
from pipeline.steps import Step

# In the step's folder on the volume, what only one attempt reads and writes.
SCRATCH = "scratch"

_logger = logging.getLogger(__name__)


def run_step(
    name: str,
    executor_input: ExecutorInput,
    resolved: ResolvedSettings,
    places: Places,
    paths: Mapping[str, str],
    folder: StepFolder | None,
) -> dict[str, Any]:
    """Runs a step as the local runner does.

    Args:
        name: the step's id.
        executor_input: the launcher's input.
        resolved: output of the first step.
        places: directories of the package.
        paths: where its inputs lie, by name.
        folder: where its large outputs stay, on a volume; None for a package that copies them to the store.

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
    inputs = input_artifacts(executor_input, {key: channel.type for key, channel in node.inputs.items()}, paths)
    outputs = output_artifacts(executor_input, {key: channel.type for key, channel in node.outputs.items()})
    copies = {key: Path(artifact.uri) for key, [artifact] in outputs.items()}
    for side, artifacts in (("input", inputs), ("output", outputs)):
        for key in artifacts:
            _logger.info("%s %s: %s", side, key, executor_input.uri(f"{side}s", key))
    properties = exec_properties(pipeline, name)
    if name == Step.EXAMPLE_GEN:
        properties["span"] = resolved.span
    executor = node.executor_spec.executor_class
    large = LARGE_OUTPUTS.get(Step(name), ())
    on_engine = settings.beam.on_engine and issubclass(executor, BaseBeamExecutor)
    # Workers of an engine see no pod's disk.
    shared = (*outputs, SCRATCH) if on_engine else large
    job_file = None
    with folder.writing(shared) if folder else nullcontext(dict[str, Path]()) as on_volume:
        for key in on_volume.keys() & outputs.keys():
            outputs[key][0].uri = str(on_volume[key])
        if on_engine and folder:
            scratch = on_volume.pop(SCRATCH)
            _share_inputs(inputs, folder.volume, scratch)
            job_file = _check_engine(
                settings.beam, inputs, scratch, places.work_directory, executor_input.output_file.parent
            )
        _executor(node, beam_args(settings.beam, job_file), scratch).Do(inputs, outputs, properties)
        for key in on_volume.keys() - set(large):
            outputs[key][0].uri = str(shutil.copytree(on_volume[key], copies[key], dirs_exist_ok=True))
            shutil.rmtree(on_volume.pop(key))
        outputs_utils.tag_output_artifacts_with_version(outputs)
        artifacts = _output_artifacts(executor_input, inputs, outputs)
        artifacts |= _shown_artifacts(name, executor_input, inputs, outputs, resolved)
        shutil.rmtree(scratch, ignore_errors=True)
        if folder:
            folder.publish(on_volume, copies, executor_input.parameters.get(GENERATION, ""))
    return {"artifacts": artifacts}


def _share_inputs(inputs: Artifacts, volume: Path, scratch: Path) -> None:
    """Copies the inputs that the launcher brought to this pod's disk, the small ones, to where workers see them."""
    for key, [artifact] in inputs.items():
        if not Path(artifact.uri).is_relative_to(volume):
            artifact.uri = str(shutil.copytree(artifact.uri, scratch / "inputs" / key))


def _check_engine(
    settings: BeamSettings, inputs: Artifacts, scratch: Path, work_directory: str, identity: Path
) -> Path | None:
    """Cancels the job of a killed attempt, and checks that workers see the inputs and the volume.

    Args:
        settings: of the engine.
        inputs: of the step.
        scratch: a folder of this attempt on the volume.
        work_directory: a folder that outlives attempts; "" for none.
        identity: a path that all attempts of the step in this run share, and no others.

    Returns:
        The file in which jobs of this attempt are recorded; None without a work directory.
    """
    job_file = None
    if work_directory:
        folder = Path(work_directory, "jobs")
        folder.mkdir(parents=True, exist_ok=True)
        job_file = folder / f"{hashlib.sha256(str(identity).encode()).hexdigest()[:16]}.json"
        cancel_recorded_job(job_file)
    preflight(settings, str(scratch), [artifact.uri for [artifact] in inputs.values()], job_file)
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
