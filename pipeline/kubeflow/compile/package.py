"""Compiles the pipeline to a package for Kubeflow Pipelines v2: a YAML file with two documents."""

import json
from collections.abc import Sequence
from typing import Any

import yaml
from google.protobuf import json_format
from kfp.pipeline_spec.pipeline_spec_pb2 import (
    ArtifactTypeSchema,
    ComponentSpec,
    ParameterType,
    PipelineSpec,
    PipelineTaskSpec,
    PlatformSpec,
)
from tfx import v1 as tfx
from tfx.dsl.components.base.base_node import BaseNode
from tfx.version import __version__ as tfx_version

from models.errors import InputError, quote
from models.settings import EnsembleSettings
from models.vocabulary import Vocabulary
from pipeline.create_pipeline import PIPELINE_NAME
from pipeline.files.yaml_text import load_documents
from pipeline.kubeflow.compile.platform import executor_config, resources
from pipeline.kubeflow.compile.settings import ClusterSettings, Retries
from pipeline.kubeflow.graph import SEPARATOR, Places, build_pipeline, edges
from pipeline.kubeflow.outputs import LARGE_OUTPUTS, shown_outputs
from pipeline.kubeflow.parameters import (
    DATA_SETTINGS,
    EVALUATION_SETTINGS,
    GENERATION,
    GENERATION_OUTPUTS,
    RESOLVER,
    RUN_SETTINGS,
    TEACHER_SETTINGS,
    TRAINING_SETTINGS,
    read_parameters,
    require_shared_artifacts,
    settings_output,
)
from pipeline.settings import RunSettings
from pipeline.steps import TRAITS, Step

# -P: a folder `components` or `models` in the container's working directory must not shadow ours.
ENTRYPOINT = ("python", "-P", "-m", "pipeline.kubeflow.container.entrypoint")

PARAMETERS = ("data", "experiment", "overrides")
# The parameter of every step but the first.
SETTINGS = "settings"

SCHEMA_VERSION, ARTIFACT_VERSION = "2.1.0", "0.0.1"
# TFX types for which KFP's UI has a type; the containers use TFX's.
KFP_TYPES = {"Examples": "system.Dataset", "Model": "system.Model"}


def compile_package(cluster: ClusterSettings, data: str, experiment: str, overrides: Sequence[str] = ()) -> str:
    """Compiles a package, to the same bytes on every machine.

    Data, experiment and overrides are the defaults of a run's parameters.

    Args:
        cluster: settings of the cluster that will run it.
        data: pattern of the raw shards as the containers see them.
        experiment: name in the catalogue, or an entry of an experiment file.
        overrides: `key=value`.

    Raises:
        InputError: a setting is wrong, or names a path that the cluster could not read.
    """
    defaults = {"data": data, "experiment": experiment, "overrides": json.dumps(list(overrides))}
    settings = read_parameters(**defaults)
    _require_readable_paths(settings, cluster)
    require_shared_artifacts(settings.beam, cluster.artifacts == "volume")
    # The number of labels does not affect the package.
    places = Places(cluster.push_directory, cluster.work_directory)
    pipeline = build_pipeline(settings, Vocabulary.of_ids(settings.data.classes), places)
    steps = [RESOLVER, *(node.id for node in pipeline.components)]
    if unknown := sorted(set(cluster.steps) - set(steps)):
        raise InputError(f"cluster.steps.{unknown[0]} is not a step, allowed: {', '.join(steps)}")

    spec = PipelineSpec(sdk_version=f"tfx-{tfx_version}", schema_version=SCHEMA_VERSION)
    spec.pipeline_info.name = PIPELINE_NAME
    spec.default_pipeline_root = cluster.pipeline_root
    for name, default in defaults.items():
        parameter = spec.root.input_definitions.parameters[name]
        parameter.parameter_type, parameter.default_value.string_value = ParameterType.STRING, default
    executors = {_label(RESOLVER): _container(RESOLVER, cluster, ["--graph", SEPARATOR.join(edges(pipeline))])}
    _add_resolver(spec)
    for node in pipeline.components:
        _add_step(spec, node)
        importer = isinstance(node, tfx.dsl.Importer)
        executors[_label(node.id)] = _importer(node) if importer else _container(node.id, cluster)
    if cluster.artifacts == "volume" and cluster.cache:
        _add_generations(spec)
    for step, task in spec.root.dag.tasks.items():
        task.caching_options.enable_cache = cluster.cache and step != RESOLVER and TRAITS[Step(step)].cached
        if step != RESOLVER:  # a retry would fail again for the same parameters, minutes later
            task.retry_policy.CopyFrom(_retry_policy(cluster.retries, cluster.node(step).timeout_seconds))
    spec.deployment_spec.update({"executors": executors})

    configs = {
        _label(step): json_format.MessageToDict(executor_config(cluster, step))
        for step in steps
        if "container" in executors[_label(step)]
    }
    platform = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": configs}}}}
    documents = [
        json_format.MessageToDict(spec),
        json_format.MessageToDict(json_format.ParseDict(platform, PlatformSpec())),
    ]
    return yaml.safe_dump_all(documents, sort_keys=True, allow_unicode=True, width=120)


def large_artifacts(package: str) -> list[str]:
    """The artifacts of a package that grow with the data or the model."""
    tasks = load_documents("package", package)[0]["root"]["dag"]["tasks"]
    return [name for step, names in LARGE_OUTPUTS.items() if step in tasks for name in names]


def _require_readable_paths(settings: RunSettings, cluster: ClusterSettings) -> None:
    data, encoder, warm_start = settings.data, settings.model.encoder, settings.training.warm_start
    # Beam reads records and the vocabulary, TensorFlow pushed models, KFP's launcher imported artifacts.
    for option, paths, stores in (
        ("--data", [data.pattern], ("gs://", "s3://")),
        ("data.validation_data", [data.validation_data], ("gs://", "s3://")),
        ("data.test_data", [data.test_data], ("gs://", "s3://")),
        ("data.vocabulary", [data.vocabulary], ("gs://", "s3://")),
        ("model.encoder.members", encoder.members if isinstance(encoder, EnsembleSettings) else [], ("gs://",)),
        ("training.teachers", settings.training.teachers, ("gs://",)),
        ("training.warm_start", [warm_start] if isinstance(warm_start, str) else [], ("gs://",)),
    ):
        for path in filter(None, paths):
            if not path.startswith(stores) and not cluster.on_a_volume(path):
                allowed = f"{', '.join(stores)} or a path in {cluster.mounted()}"
                raise InputError(f"{option} is {quote(path)}, allowed on a cluster: {allowed}")
    if settings.hyperparameters and not settings.hyperparameters.startswith(("minio://", "s3://", "gs://")):
        value = quote(settings.hyperparameters)
        raise InputError(f"hyperparameters is {value}, allowed on a cluster: minio://, s3://, gs://")


def _retry_policy(retries: Retries, timeout_seconds: int) -> PipelineTaskSpec.RetryPolicy:
    policy = PipelineTaskSpec.RetryPolicy(max_retry_count=retries.max_retries, backoff_factor=retries.backoff_factor)
    policy.backoff_duration.seconds = retries.backoff_seconds
    # Not the longest wait, as its name says: without it, nothing would be retried.
    policy.backoff_max_duration.seconds = retries.window(timeout_seconds)
    return policy


def _label(step: str) -> str:
    """Label of a step's executor."""
    return f"exec-{step}"


def _add_resolver(spec: PipelineSpec) -> None:
    component, task = spec.components[f"comp-{RESOLVER}"], spec.root.dag.tasks[RESOLVER]
    _set_names(component, task, RESOLVER)
    for name in PARAMETERS:
        component.input_definitions.parameters[name].parameter_type = ParameterType.STRING
        task.inputs.parameters[name].component_input_parameter = name
    for name in (DATA_SETTINGS, TEACHER_SETTINGS, TRAINING_SETTINGS, EVALUATION_SETTINGS, RUN_SETTINGS):
        component.output_definitions.parameters[name].parameter_type = ParameterType.STRING


def _add_step(spec: PipelineSpec, node: BaseNode) -> None:
    component, task = spec.components[f"comp-{node.id}"], spec.root.dag.tasks[node.id]
    _set_names(component, task, node.id)
    for name, channel in node.outputs.items():
        component.output_definitions.artifacts[name].artifact_type.CopyFrom(_type(channel))
    if isinstance(node, tfx.dsl.Importer):
        return
    for name, title in shown_outputs(node.id).items():
        shown = component.output_definitions.artifacts[name].artifact_type
        shown.schema_title, shown.schema_version = title, ARTIFACT_VERSION
    component.input_definitions.parameters[SETTINGS].parameter_type = ParameterType.STRING
    settings = task.inputs.parameters[SETTINGS].task_output_parameter
    settings.producer_task = RESOLVER
    settings.output_parameter_key = settings_output(node.id)
    for name, channel in node.inputs.items():
        component.input_definitions.artifacts[name].artifact_type.CopyFrom(_type(channel))
        source = task.inputs.artifacts[name].task_output_artifact
        source.producer_task, source.output_artifact_key = channel.producer_component_id, channel.output_key
    task.dependent_tasks.extend(sorted({RESOLVER, *(upstream.id for upstream in node.upstream_nodes)}))


def _add_generations(spec: PipelineSpec) -> None:
    tasks, components = spec.root.dag.tasks, spec.components
    for step, output in GENERATION_OUTPUTS.items():
        if step in tasks:
            resolved = components[f"comp-{RESOLVER}"].output_definitions.parameters[output]
            resolved.parameter_type = ParameterType.STRING
            read = components[f"comp-{step}"].input_definitions.parameters[GENERATION]
            read.parameter_type = ParameterType.STRING
            source = tasks[step].inputs.parameters[GENERATION].task_output_parameter
            source.producer_task, source.output_parameter_key = RESOLVER, output


def _set_names(component: ComponentSpec, task: PipelineTaskSpec, step: str) -> None:
    component.executor_label = _label(step)
    task.task_info.name, task.component_ref.name = step, f"comp-{step}"


def _type(channel: tfx.types.BaseChannel) -> ArtifactTypeSchema:
    title = KFP_TYPES.get(channel.type.TYPE_NAME, "system.Artifact")
    return ArtifactTypeSchema(schema_title=title, schema_version=ARTIFACT_VERSION)


def _container(step: str, cluster: ClusterSettings, more_arguments: Sequence[str] = ()) -> dict[str, Any]:
    node = cluster.node(step)
    arguments = ["--step", step, "--executor_input", "{{$}}", "--push_directory", cluster.push_directory]
    if cluster.work_directory:
        arguments += ["--work_directory", cluster.work_directory]
    if cluster.artifacts == "volume":
        arguments += ["--artifact_directory", cluster.artifact_directory]
    return {
        "container": {
            "image": node.image or cluster.image,
            "command": list(ENTRYPOINT),
            "args": [*arguments, *more_arguments],
            "resources": json_format.MessageToDict(resources(node)),
            "env": [{"name": name, "value": value} for name, value in sorted(cluster.env.items())],
        }
    }


def _importer(node: tfx.dsl.Importer) -> dict[str, Any]:
    [channel] = node.outputs.values()
    return {
        "importer": {
            "artifactUri": {"constant": node.exec_properties["artifact_uri"]},
            "typeSchema": json_format.MessageToDict(_type(channel)),
            "reimport": True,  # else KFP reuses an earlier import even if the files have changed
        }
    }
