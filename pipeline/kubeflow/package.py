"""`yt8m compile`: the pipeline as a package for Kubeflow Pipelines v2, one YAML file of two documents."""

import json
from collections.abc import Sequence
from typing import Any

import tfx
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
from tfx import v1 as tfx_v1
from tfx.dsl.components.base.base_node import BaseNode

from models.errors import InputError
from models.vocabulary import Vocabulary
from pipeline.create_pipeline import PER_EXPERIMENT, PIPELINE_NAME
from pipeline.kubeflow.graph import SEPARATOR, Places, build_pipeline, edges
from pipeline.kubeflow.parameters import OF_THE_DATA, OF_THE_RUN, RESOLVER, read_parameters
from pipeline.kubeflow.platform import executor_config, resources
from pipeline.kubeflow.results import results
from pipeline.kubeflow.settings import ClusterSettings

ENTRYPOINT = ("python", "-m", "pipeline.kubeflow_entrypoint")

PARAMETERS = ("data", "experiment", "overrides")
# Of each step.
SETTINGS = "settings"

# What these do depends on more than KFP's cache knows: the shards, and what serves.
NEVER_CACHED = (RESOLVER, "DriftDetector", "ChampionResolver", "Pusher")

SCHEMA_VERSION, ARTIFACT_VERSION = "2.1.0", "0.0.1"
# Types that KFP's UI knows; the containers know TFX's.
SHOWN_AS = {"Examples": "system.Dataset", "Model": "system.Model"}


def compile_package(cluster: ClusterSettings, data: str, experiment: str, overrides: Sequence[str] = ()) -> str:
    """The package, the same bytes on every machine.

    Args:
        cluster: where it will run.
        data: pattern of the raw shards as the containers see them; this and the next two are defaults of a run's
            parameters.
        experiment: of the catalogue, or an entry of an experiment file.
        overrides: `key=value`.

    Raises:
        InputError: settings that are wrong or that the cluster could not read.
    """
    defaults = {"data": data, "experiment": experiment, "overrides": json.dumps(list(overrides))}
    settings = read_parameters(**defaults)
    for option, pattern in (
        ("--data", settings.data.pattern),
        ("data.test_data", settings.data.test_data),
        ("data.vocabulary", settings.data.vocabulary),
    ):
        if pattern:
            cluster.require_readable(option, pattern)
    if settings.hyperparameters and not settings.hyperparameters.startswith(("minio://", "s3://", "gs://")):
        raise InputError(
            f"hyperparameters is {settings.hyperparameters!r}, allowed on a cluster: minio://, s3://, gs://"
        )
    # How many labels there are decides nothing that a package fixes.
    places = Places(cluster.push_directory, cluster.work_directory)
    pipeline = build_pipeline(settings, Vocabulary.of_ids(settings.data.classes), places)
    steps = [RESOLVER, *(node.id for node in pipeline.components)]
    if unknown := sorted(set(cluster.steps) - set(steps)):
        raise InputError(f"cluster.steps.{unknown[0]} is no step, allowed: {', '.join(steps)}")

    spec = PipelineSpec(sdk_version=f"tfx-{tfx.__version__}", schema_version=SCHEMA_VERSION)
    spec.pipeline_info.name = PIPELINE_NAME
    spec.default_pipeline_root = cluster.pipeline_root
    for name, default in defaults.items():
        parameter = spec.root.input_definitions.parameters[name]
        parameter.parameter_type = ParameterType.STRING
        parameter.default_value.string_value = default
    executors = {label(RESOLVER): _container(RESOLVER, cluster, ["--graph", SEPARATOR.join(edges(pipeline))])}
    _add_resolver(spec)
    for node in pipeline.components:
        _add_step(spec, node)
        importer = isinstance(node, tfx_v1.dsl.Importer)
        executors[label(node.id)] = _importer(node) if importer else _container(node.id, cluster)
    for step, task in spec.root.dag.tasks.items():
        task.caching_options.enable_cache = cluster.cache and step not in NEVER_CACHED
        retry = task.retry_policy
        retry.max_retry_count = cluster.retries.max_retries
        retry.backoff_duration.seconds = cluster.retries.backoff_seconds
        retry.backoff_factor = cluster.retries.backoff_factor
        retry.backoff_max_duration.seconds = cluster.retries.max_backoff_seconds
    spec.deployment_spec.update({"executors": executors})

    configs = {
        label(step): json_format.MessageToDict(executor_config(cluster, step))
        for step in steps
        if "container" in executors[label(step)]
    }
    platform = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": configs}}}}
    documents = [
        json_format.MessageToDict(spec),
        json_format.MessageToDict(json_format.ParseDict(platform, PlatformSpec())),
    ]
    return yaml.safe_dump_all(documents, sort_keys=True, allow_unicode=True, width=120)


def label(step: str) -> str:
    """Of a step's executor."""
    return f"exec-{step}"


def _add_resolver(spec: PipelineSpec) -> None:
    component, task = spec.components[f"comp-{RESOLVER}"], spec.root.dag.tasks[RESOLVER]
    _name(component, task, RESOLVER)
    for name in PARAMETERS:
        component.input_definitions.parameters[name].parameter_type = ParameterType.STRING
        task.inputs.parameters[name].component_input_parameter = name
    for name in (OF_THE_DATA, OF_THE_RUN):
        component.output_definitions.parameters[name].parameter_type = ParameterType.STRING


def _add_step(spec: PipelineSpec, node: BaseNode) -> None:
    component, task = spec.components[f"comp-{node.id}"], spec.root.dag.tasks[node.id]
    _name(component, task, node.id)
    for name, channel in node.outputs.items():
        component.output_definitions.artifacts[name].artifact_type.CopyFrom(_type(channel))
    if isinstance(node, tfx_v1.dsl.Importer):
        return
    for name, title in results(node.id).items():
        shown = component.output_definitions.artifacts[name].artifact_type
        shown.schema_title, shown.schema_version = title, ARTIFACT_VERSION
    component.input_definitions.parameters[SETTINGS].parameter_type = ParameterType.STRING
    settings = task.inputs.parameters[SETTINGS].task_output_parameter
    settings.producer_task, settings.output_parameter_key = (
        RESOLVER,
        OF_THE_RUN if node.id in PER_EXPERIMENT else OF_THE_DATA,
    )
    for name, channel in node.inputs.items():
        component.input_definitions.artifacts[name].artifact_type.CopyFrom(_type(channel))
        source = task.inputs.artifacts[name].task_output_artifact
        source.producer_task, source.output_artifact_key = channel.producer_component_id, channel.output_key
    task.dependent_tasks.extend(sorted({RESOLVER, *(upstream.id for upstream in node.upstream_nodes)}))


def _name(component: ComponentSpec, task: PipelineTaskSpec, step: str) -> None:
    component.executor_label = label(step)
    task.task_info.name, task.component_ref.name = step, f"comp-{step}"


def _type(channel: tfx_v1.types.BaseChannel) -> ArtifactTypeSchema:
    title = SHOWN_AS.get(channel.type.TYPE_NAME, "system.Artifact")
    return ArtifactTypeSchema(schema_title=title, schema_version=ARTIFACT_VERSION)


def _container(step: str, cluster: ClusterSettings, more: Sequence[str] = ()) -> dict[str, Any]:
    node = cluster.node(step)
    arguments = ["--step", step, "--executor_input", "{{$}}", "--push_directory", cluster.push_directory]
    if cluster.work_directory:
        arguments += ["--work_directory", cluster.work_directory]
    return {
        "container": {
            "image": node.image or cluster.image,
            "command": list(ENTRYPOINT),
            "args": [*arguments, *more],
            "resources": json_format.MessageToDict(resources(node)),
            "env": [{"name": name, "value": value} for name, value in sorted(cluster.env.items())],
        }
    }


def _importer(node: tfx_v1.dsl.Importer) -> dict[str, Any]:
    [channel] = node.outputs.values()
    return {
        "importer": {
            "artifactUri": {"constant": node.exec_properties["artifact_uri"]},
            "typeSchema": json_format.MessageToDict(_type(channel)),
        }
    }
