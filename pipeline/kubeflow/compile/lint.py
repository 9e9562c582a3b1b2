"""The linter for compiled packages: finds what Kubeflow Pipelines would reject or run wrongly."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from google.protobuf import json_format
from kfp.kubernetes.kubernetes_executor_config_pb2 import KubernetesExecutorConfig
from kfp.pipeline_spec.pipeline_spec_pb2 import PipelineDeploymentConfig, PipelineSpec, PlatformSpec

from models.errors import plural
from pipeline.files.yaml_text import load_documents
from pipeline.kubeflow.compile.kubernetes_values import CLAIM_ALLOWED, is_claim
from pipeline.kubeflow.compile.settings import is_pinned

SCHEMA_VERSION = "2.1.0"

# What Argo allows as the name of a task.
TASK_NAME = re.compile(r"[a-zA-Z0-9][-a-zA-Z0-9]*")
PIPELINE_ROOT = re.compile(r"(minio|s3|gs)://[^/\s]+(/\S*)?")

# An absolute path at the start of a word: as an argument, in a list, after an equals sign.
HOST_PATH = re.compile(r"(?<![^\s\"'=,\[])(?:file://)?(/[^\s\"',\]]+)")


@dataclass(frozen=True)
class _Package:
    spec: PipelineSpec
    executors: Mapping[str, PipelineDeploymentConfig.ExecutorSpec]
    platform: Mapping[str, KubernetesExecutorConfig]

    def mounts(self, executor: str) -> list[str]:
        return [mount.mount_path for mount in self.platform.get(executor, KubernetesExecutorConfig()).pvc_mount]


def lint(text: str) -> list[str]:
    """The problems of a package, one line each; empty if it can be uploaded and run.

    Args:
        text: the package, YAML.
    """
    try:
        package = _parse(text)
    except (json_format.Error, ValueError, OverflowError) as error:
        return [f"not a package of a pipeline spec and a platform spec: {' '.join(str(error).split())}"]
    return [problem for rule in _RULES for problem in sorted(rule(package))]


def _parse(text: str) -> _Package:
    documents = load_documents("package", text)
    if len(documents) != 2 or not all(isinstance(document, dict) for document in documents):
        raise ValueError(f"has {plural(len(documents), 'document')}, expected 2")
    spec = json_format.ParseDict(documents[0], PipelineSpec())
    platform = json_format.ParseDict(documents[1], PlatformSpec())
    deployment = json_format.ParseDict(documents[0].get("deploymentSpec") or {}, PipelineDeploymentConfig())
    configs = json_format.MessageToDict(platform.platforms["kubernetes"].deployment_spec).get("executors", {})
    return _Package(
        spec,
        deployment.executors,
        {name: json_format.ParseDict(config, KubernetesExecutorConfig()) for name, config in configs.items()},
    )


def _schema(package: _Package) -> Iterator[str]:
    if package.spec.schema_version != SCHEMA_VERSION:
        yield f"schemaVersion is {package.spec.schema_version!r}, KFP reads {SCHEMA_VERSION}"
    if not PIPELINE_ROOT.fullmatch(root := package.spec.default_pipeline_root):
        yield f"defaultPipelineRoot is {root!r}, the launcher supports minio://, s3:// and gs://"


def _names(package: _Package) -> Iterator[str]:
    if not package.spec.root.dag.tasks:
        yield "root has no tasks"
    for name, task in package.spec.root.dag.tasks.items():
        if not TASK_NAME.fullmatch(name):
            yield f"task {name}: not a name for Argo, allowed: letters, digits and -, which is not first"
        if task.task_info.name != name:
            yield f"task {name}: taskInfo.name is {task.task_info.name!r}, expected the task's name"


def _executors(package: _Package) -> Iterator[str]:
    for name, executor in package.executors.items():
        kind, container = executor.WhichOneof("spec"), executor.container
        if kind not in ("container", "importer"):
            yield f"executor {name}: is a {kind}, open-source KFP runs only containers and importers"
        if container.HasField("lifecycle"):
            yield f"executor {name}: has a lifecycle hook, which open-source KFP never runs"
        if kind == "container" and not is_pinned(container.image):
            yield (
                f"executor {name}: image is {container.image!r}, expected a name in lowercase, with a tag other than "
                "latest or a digest"
            )
    for name in package.platform:
        if name not in package.executors:
            yield f"platform spec: {name} is not an executor, so its settings have no effect"


def _references(package: _Package) -> Iterator[str]:
    tasks, components = package.spec.root.dag.tasks, package.spec.components
    for name, task in tasks.items():
        component = components.get(task.component_ref.name)
        if component is None or component.executor_label not in package.executors:
            yield f"task {name}: has no component with an executor"
        for upstream in task.dependent_tasks:
            if upstream not in tasks:
                yield f"task {name}: depends on {upstream}, which does not exist"
        for key, artifact in task.inputs.artifacts.items():
            source = artifact.task_output_artifact
            if source.output_artifact_key not in _outputs(package, source.producer_task).artifacts:
                output = f"{source.producer_task}.{source.output_artifact_key}"
                yield f"task {name}: reads {key} from {output}, which does not exist"
        for key, parameter in task.inputs.parameters.items():
            source = parameter.task_output_parameter
            if source.producer_task and (
                source.output_parameter_key not in _outputs(package, source.producer_task).parameters
            ):
                output = f"{source.producer_task}.{source.output_parameter_key}"
                yield f"task {name}: reads {key} from {output}, which does not exist"


def _parameters(package: _Package) -> Iterator[str]:
    spec = package.spec
    for name, parameter in spec.root.input_definitions.parameters.items():
        if not parameter.HasField("default_value"):
            yield f"parameter {name}: has no default, so KFP rejects a run without it"
        for task in spec.root.dag.tasks:
            if _is_container(package, task) and name not in _reached_by(spec, task):
                yield f"parameter {name}: does not reach {task}"


def _retries(package: _Package) -> Iterator[str]:
    for name, task in package.spec.root.dag.tasks.items():
        policy = task.retry_policy
        if policy.max_retry_count and not policy.backoff_max_duration.seconds:
            yield f"task {name}: is never retried, as backoffMaxDuration, the time for all attempts, is not set"
        if not policy.backoff_factor.is_integer():
            yield f"task {name}: backoffFactor is {policy.backoff_factor}, Argo reads only whole numbers"


def _volumes(package: _Package) -> Iterator[str]:
    for executor, config in package.platform.items():
        for mount in config.pvc_mount:
            if not is_claim(mount.constant):
                yield f"executor {executor}: claim {mount.constant!r} is no name for a volume: {CLAIM_ALLOWED}"


def _host_paths(package: _Package) -> Iterator[str]:
    for name, executor in package.executors.items():
        texts = [*executor.container.args, *(variable.value for variable in executor.container.env)]
        for path in _paths(texts, package.mounts(name)):
            yield f"executor {name}: {path} is not on a volume that it mounts"
    all_mounts = [mount for name in package.platform for mount in package.mounts(name)]
    for name, parameter in package.spec.root.input_definitions.parameters.items():
        for path in _paths([parameter.default_value.string_value], all_mounts):
            yield f"parameter {name}: {path} is not on a volume"


def _paths(texts: list[str], mounts: list[str]) -> Iterator[str]:
    for text in texts:
        for path in HOST_PATH.findall(text):
            if not any(PurePosixPath(path).is_relative_to(mount) for mount in mounts):
                yield path


def _outputs(package: _Package, task: str) -> Any:
    tasks = package.spec.root.dag.tasks
    name = tasks[task].component_ref.name if task in tasks else ""
    return package.spec.components[name].output_definitions if name in package.spec.components else _NO_OUTPUTS


def _is_container(package: _Package, task: str) -> bool:
    component = package.spec.components.get(package.spec.root.dag.tasks[task].component_ref.name)
    label = component.executor_label if component is not None else ""
    return label in package.executors and package.executors[label].WhichOneof("spec") == "container"


def _reached_by(spec: PipelineSpec, task: str) -> set[str]:
    """The run's parameters that a task reads, directly or through parameters of other tasks."""
    reached, waiting, seen = set(), [task], set()
    while waiting:
        current = waiting.pop()
        if current in seen or current not in spec.root.dag.tasks:
            continue
        seen.add(current)
        for parameter in spec.root.dag.tasks[current].inputs.parameters.values():
            reached.add(parameter.component_input_parameter)
            waiting.append(parameter.task_output_parameter.producer_task)
    return reached


_NO_OUTPUTS = PipelineSpec().components["none"].output_definitions

_RULES: tuple[Callable[[_Package], Iterator[str]], ...] = (
    _schema,
    _names,
    _executors,
    _references,
    _parameters,
    _retries,
    _volumes,
    _host_paths,
)
