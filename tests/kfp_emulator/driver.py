"""The API server, compiler and driver of KFP 2.15 to 2.17: what they do before a container starts.

Each function names the Go code whose rule it mirrors (kubeflow/pipelines, backend/src).
"""

import json
import re
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from google.protobuf import json_format
from kfp.kubernetes.kubernetes_executor_config_pb2 import KubernetesExecutorConfig
from kfp.pipeline_spec.pipeline_spec_pb2 import ExecutorInput, PipelineSpec, PlatformSpec

from kfp_emulator.object_store import local_path

ARGO_NAME = re.compile(r"[a-zA-Z0-9][-a-zA-Z0-9]*")
SUPPORTED_TASK_FIELDS = {"taskInfo", "componentRef", "inputs", "dependentTasks", "cachingOptions", "retryPolicy"}


class InvalidInputError(ValueError):
    """The package or its parameters are invalid (NewInvalidInputError of common/util/error.go): no run is created."""


class DriverError(RuntimeError):
    """The driver fails, and its task with it, before a container starts."""


@dataclass
class Package:
    """A parsed package.

    Attributes:
        spec: The pipeline spec, as JSON.
        platform: Executor label -> KubernetesExecutorConfig, as JSON.
    """

    spec: dict[str, Any]
    platform: dict[str, dict[str, Any]]

    @property
    def tasks(self) -> dict[str, dict[str, Any]]:
        return self.spec["root"]["dag"]["tasks"]

    def component(self, task: str) -> dict[str, Any]:
        return self.spec["components"][self.tasks[task]["componentRef"]["name"]]

    def executor(self, task: str) -> dict[str, Any]:
        return self.spec["deploymentSpec"]["executors"][self.component(task)["executorLabel"]]

    def kubernetes(self, task: str) -> dict[str, Any]:
        return self.platform.get(self.component(task)["executorLabel"], {})


def load_package(path: Path) -> Package:
    """Reads a package that both an upload and the compiler to Argo accept."""
    package = parse_package(path.read_text())
    check_tasks(package)
    return package


def parse_package(text: str) -> Package:
    """NewV2SpecTemplate of apiserver/template/v2_template.go: how the API server checks an upload."""
    try:
        documents = [document for document in yaml.load_all(text, yaml.CSafeLoader) if document is not None]
    except yaml.YAMLError as error:
        raise InvalidInputError(f"unable to decode yaml document: {error}") from error
    return check_documents(documents)


def check_documents(documents: Iterable[Any]) -> Package:
    """The rest of NewV2SpecTemplate, for decoded documents."""
    spec: dict[str, Any] = {}
    platform: dict[str, dict[str, Any]] = {}
    for document in documents:
        if not isinstance(document, dict):
            raise InvalidInputError(f"unable to decode yaml document: {document!r} is not a mapping")
        try:
            if "platforms" in document:
                json_format.ParseDict(document, PlatformSpec())
                platform = _executor_configs(document["platforms"].get("kubernetes", {}))
            elif spec:
                raise InvalidInputError("multiple pipeline specs provided")
            else:
                json_format.ParseDict(document, PipelineSpec())
                spec = document
        except json_format.ParseError as error:
            raise InvalidInputError(f"invalid v2 pipeline spec: {error}") from error
    if not spec:
        raise InvalidInputError("no pipeline spec is provided")
    if spec.get("schemaVersion") != "2.1.0":
        version = spec.get("schemaVersion")
        raise InvalidInputError(f"KFP only supports schema version 2.1.0, but the pipeline spec has version {version}")
    if not spec.get("pipelineInfo", {}).get("name"):
        raise InvalidInputError("invalid v2 pipeline spec: name is empty")
    if "root" not in spec:
        raise InvalidInputError("invalid v2 pipeline spec: root component is empty")
    return Package(spec, platform)


def _executor_configs(kubernetes: dict[str, Any]) -> dict[str, dict[str, Any]]:
    executors = kubernetes.get("deploymentSpec", {}).get("executors", {})
    return {
        label: json_format.MessageToDict(json_format.ParseDict(config, KubernetesExecutorConfig()))
        for label, config in executors.items()
    }


def check_tasks(package: Package) -> None:
    """What v2/compiler/argocompiler and Argo itself check when a run is created.

    They ignore a platform configuration without executor; here it is an error.
    """
    if unknown := sorted(set(package.platform) - set(package.spec["deploymentSpec"]["executors"])):
        raise InvalidInputError(f"the platform spec configures executors that do not exist: {', '.join(unknown)}")
    for name, task in package.tasks.items():
        if not ARGO_NAME.fullmatch(name):
            raise InvalidInputError(f"task {name}: Argo allows letters, digits and '-' in names")
        if task["taskInfo"]["name"] != name:
            raise InvalidInputError(f"task {name} has the name {task['taskInfo']['name']} in its taskInfo")
        if unsupported := set(task) - SUPPORTED_TASK_FIELDS:
            raise NotImplementedError(f"task {name}: the emulator does not support {', '.join(sorted(unsupported))}")
        if not {"container", "importer"} & set(package.executor(name)):
            raise InvalidInputError(f"task {name}: non-container and non-importer executor not implemented")


def run_parameters(package: Package, provided: dict[str, Any]) -> dict[str, Any]:
    """validatePipelineJobInputs of v2_template.go, then the defaults as argocompiler/argo.go fills them in."""
    declared = package.spec["root"].get("inputDefinitions", {}).get("parameters", {})
    if extra := sorted(set(provided) - set(declared)):
        raise InvalidInputError(f"parameter(s) provided are not required by pipeline: {', '.join(extra)}")
    values = {}
    for name, parameter in declared.items():
        if name in provided:
            if not _has_type(provided[name], parameter["parameterType"]):
                raise InvalidInputError(f"input parameter {name} requires type {parameter['parameterType']}")
            values[name] = provided[name]
        elif "defaultValue" in parameter:
            values[name] = parameter["defaultValue"]
        elif parameter.get("isOptional"):
            values[name] = None
        else:
            reason = "is not optional, yet has neither default value nor user provided value"
            raise InvalidInputError(f"parameter {name} {reason}")
    return values


def _has_type(value: Any, kind: str) -> bool:
    types = {
        "STRING": str,
        "NUMBER_INTEGER": (int, float),
        "NUMBER_DOUBLE": (int, float),
        "BOOLEAN": bool,
        "LIST": list,
        "STRUCT": dict,
    }
    return isinstance(value, types[kind]) and (kind == "BOOLEAN" or not isinstance(value, bool))


def execution_order(package: Package) -> list[str]:
    """All tasks, each after its upstream tasks; otherwise alphabetically, as Argo promises no order."""
    order: list[str] = []

    def visit(task: str, path: tuple[str, ...] = ()) -> None:
        if task in path:
            raise InvalidInputError(f"tasks depend on each other: {' -> '.join([*path, task])}")
        if task not in order:
            for upstream in sorted(upstream_tasks(package, task)):
                visit(upstream, (*path, task))
            order.append(task)

    for task in sorted(package.tasks):
        visit(task)
    return order


def upstream_tasks(package: Package, task: str) -> set[str]:
    """The tasks that must succeed first: dependentTasks and producers of inputs."""
    spec = package.tasks[task]
    upstream = set(spec.get("dependentTasks", []))
    for kind, source in (("artifacts", "taskOutputArtifact"), ("parameters", "taskOutputParameter")):
        for value in spec.get("inputs", {}).get(kind, {}).values():
            if source in value:
                upstream.add(value[source]["producerTask"])
    if missing := sorted(upstream - set(package.tasks)):
        raise InvalidInputError(f"task {task} depends on tasks that do not exist: {', '.join(missing)}")
    return upstream


def executor_input(
    package: Package, task: str, root: str, parameters: dict[str, Any], finished: dict[str, Any]
) -> dict[str, Any]:
    """The ExecutorInput that Container of v2/driver/container.go passes to the launcher.

    Args:
        package: The package.
        task: The task's name.
        root: The run's folder in the object store.
        parameters: The run's parameters.
        finished: Task -> an object with `outputs` (key -> Artifact) and `parameters` (key -> value).
    """
    inputs = package.tasks[task].get("inputs", {})
    declared = package.component(task).get("inputDefinitions", {}).get("parameters", {})
    values = {}
    for key, source in inputs.get("parameters", {}).items():
        value = _parameter(key, source, parameters, finished)
        if value is not None:
            values[key] = value
        elif not declared[key].get("isOptional"):
            raise DriverError(f"the resolved input parameter is null: {key}")
    _convert(values, declared)
    artifacts = {}
    for key, source in inputs.get("artifacts", {}).items():
        if "taskOutputArtifact" not in source:
            raise NotImplementedError(f"task {task}, input {key}: the emulator supports only taskOutputArtifact")
        reference = source["taskOutputArtifact"]
        producer, output = reference["producerTask"], reference["outputArtifactKey"]
        if output not in finished[producer].outputs:
            raise DriverError(f"cannot find output artifact key {output!r} in producer task {producer!r}")
        artifacts[key] = {"artifacts": [finished[producer].outputs[output].runtime()]}
    message = {
        "inputs": {"parameterValues": values, "artifacts": artifacts},
        "outputs": _provision_outputs(package.component(task), f"{root}/{task}/{uuid.uuid4()}"),
    }
    return json_format.MessageToDict(json_format.ParseDict(message, ExecutorInput()))


def _parameter(key: str, source: dict[str, Any], parameters: dict[str, Any], finished: dict[str, Any]) -> Any:
    """resolveInputParameter of v2/driver/resolve.go."""
    match source:
        case {"componentInputParameter": name}:
            return parameters[name]
        case {"runtimeValue": {"constant": value}}:
            return value
        case {"taskOutputParameter": {"producerTask": producer, "outputParameterKey": output}}:
            return finished[producer].parameters[output]
    raise DriverError(f"input parameter {key}: {source} is not implemented by the driver")


def _convert(values: dict[str, Any], declared: dict[str, Any]) -> None:
    """handleParamTypeValidationAndConversion of resolve.go: converts values to text for STRING parameters only."""
    for key, parameter in declared.items():
        kind = parameter["parameterType"]
        if key not in values:
            if parameter.get("isOptional"):
                continue
            if "defaultValue" not in parameter:
                raise DriverError(f"neither value nor default value provided for non-optional parameter {key!r}")
            if kind != "STRING":
                raise DriverError(f"parameter {key} has unknown protobuf.Value type: <nil>")
            values[key] = ""  # sic: the default of a parameter that is not optional is lost
        elif kind == "STRING":
            values[key] = as_text(values[key])
        elif not _has_type(values[key], kind):
            raise DriverError(f"input parameter {key!r} type mismatch: expect {kind}, got {values[key]!r}")


def as_text(value: Any) -> str:
    """PbValueToText of converter.go."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value, separators=(",", ":"))


def _provision_outputs(component: dict[str, Any], root: str) -> dict[str, Any]:
    """provisionOutputs of v2/driver/driver.go; adds `executor-logs`, which no package declares."""
    declared = component.get("outputDefinitions", {})
    specs = declared.get("artifacts", {}) | {"executor-logs": {"artifactType": {"schemaTitle": "system.Artifact"}}}
    artifacts = {}
    for key, spec in specs.items():
        artifact = {"name": key, "uri": f"{root}/{key}", "type": spec["artifactType"]}
        if "metadata" in spec:
            artifact["metadata"] = spec["metadata"]
        artifacts[key] = {"artifacts": [artifact]}
    return {
        "artifacts": artifacts,
        "parameters": {key: {"outputFile": f"/tmp/kfp/outputs/{key}"} for key in declared.get("parameters", {})},
        "outputFile": f"{local_path(root)}/output_metadata.json",
    }
