"""What the API server, the compiler and the driver of KFP 2.15 to 2.17 do before a container starts.

Each function names the Go code whose rule it mirrors (kubeflow/pipelines, backend/src).
"""

import json
import re
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from google.protobuf import json_format
from kfp.kubernetes import kubernetes_executor_config_pb2
from kfp.pipeline_spec import pipeline_spec_pb2
from object_store import local_path

ARGO_NAME = re.compile(r"[a-zA-Z0-9][-a-zA-Z0-9]*")
SUPPORTED_TASK_FIELDS = {"taskInfo", "componentRef", "inputs", "dependentTasks", "cachingOptions", "retryPolicy"}


class Refused(ValueError):
    """The cluster does not accept the package or its parameters: no run comes to be."""


class DriverError(RuntimeError):
    """The driver fails: the run's task fails before its container starts."""


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
    """NewV2SpecTemplate of apiserver/template/v2_template.go, and what argocompiler refuses."""
    spec: dict[str, Any] = {}
    platform: dict[str, dict[str, Any]] = {}
    for document in yaml.safe_load_all(path.read_text()):
        message = pipeline_spec_pb2.PlatformSpec() if "platforms" in document else pipeline_spec_pb2.PipelineSpec()
        try:
            json_format.ParseDict(document, message)
        except json_format.ParseError as error:
            raise Refused(f"invalid v2 pipeline spec: {error}") from error
        if "platforms" in document:
            deployment = document["platforms"]["kubernetes"].get("deploymentSpec", {})
            for label, config in deployment.get("executors", {}).items():
                parsed = json_format.ParseDict(config, kubernetes_executor_config_pb2.KubernetesExecutorConfig())
                platform[label] = json_format.MessageToDict(parsed)
        elif spec:
            raise Refused("multiple pipeline specs provided")
        else:
            spec = document
    if not spec:
        raise Refused("no pipeline spec is provided")
    if spec.get("schemaVersion") != "2.1.0":
        version = spec.get("schemaVersion")
        raise Refused(f"KFP only supports schema version 2.1.0, but the pipeline spec has version {version}")
    package = Package(spec, platform)
    _check_tasks(package)
    if strangers := sorted(set(platform) - set(spec["deploymentSpec"]["executors"])):
        raise Refused(f"the platform spec configures executors that do not exist: {', '.join(strangers)}")
    return package


def _check_tasks(package: Package) -> None:
    for name, task in package.tasks.items():
        if not ARGO_NAME.fullmatch(name):
            raise Refused(f"task {name}: Argo allows letters, digits and '-' in names")
        if task["taskInfo"]["name"] != name:
            raise Refused(f"task {name} calls itself {task['taskInfo']['name']}")
        if strange := set(task) - SUPPORTED_TASK_FIELDS:
            raise NotImplementedError(f"task {name}: the emulator does not know {', '.join(sorted(strange))}")
        if not {"container", "importer"} & set(package.executor(name)):
            raise Refused(f"task {name}: non-container and non-importer executor not implemented")


def run_parameters(package: Package, given: dict[str, Any]) -> dict[str, Any]:
    """validatePipelineJobInputs of v2_template.go, then the defaults as argocompiler/argo.go fills them in."""
    declared = package.spec["root"].get("inputDefinitions", {}).get("parameters", {})
    if extra := sorted(set(given) - set(declared)):
        raise Refused(f"parameter(s) provided are not required by pipeline: {', '.join(extra)}")
    values = {}
    for name, parameter in declared.items():
        if name in given:
            if not _has_type(given[name], parameter["parameterType"]):
                raise Refused(f"input parameter {name} requires type {parameter['parameterType']}")
            values[name] = given[name]
        elif "defaultValue" in parameter:
            values[name] = parameter["defaultValue"]
        elif parameter.get("isOptional"):
            values[name] = None
        else:
            raise Refused(f"parameter {name} is not optional, yet has neither default value nor user provided value")
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


def in_order(package: Package) -> list[str]:
    """The tasks, each after those it needs; Argo's order among equals is open, so ours is alphabetical."""
    order: list[str] = []

    def visit(task: str, path: tuple[str, ...] = ()) -> None:
        if task in path:
            raise Refused(f"tasks depend on each other: {' -> '.join([*path, task])}")
        if task not in order:
            for needed in sorted(needs(package, task)):
                visit(needed, (*path, task))
            order.append(task)

    for task in sorted(package.tasks):
        visit(task)
    return order


def needs(package: Package, task: str) -> set[str]:
    """The tasks that must succeed first: dependentTasks and producers of inputs."""
    spec = package.tasks[task]
    found = set(spec.get("dependentTasks", []))
    for kind, source in (("artifacts", "taskOutputArtifact"), ("parameters", "taskOutputParameter")):
        for value in spec.get("inputs", {}).get(kind, {}).values():
            if source in value:
                found.add(value[source]["producerTask"])
    if missing := sorted(found - set(package.tasks)):
        raise Refused(f"task {task} depends on {', '.join(missing)}, which no task is")
    return found


@dataclass
class Artifact:
    """An artifact as ML Metadata holds it: untyped values in `metadata`, the type beside it."""

    id: int
    key: str
    type: str
    uri: str
    metadata: dict[str, Any] = field(default_factory=dict)

    def runtime(self) -> dict[str, Any]:
        """toRuntimeArtifact of v2/metadata/converter.go: the type is not passed on, the name is the id."""
        return {"name": str(self.id), "uri": self.uri, "metadata": dict(self.metadata)}


class Metadata:
    """Stands for ML Metadata: keeps artifacts over runs, with the losses of the conversion there and back."""

    def __init__(self) -> None:
        self.artifacts: dict[int, Artifact] = {}

    def record(self, key: str, schema: str, uri: str, metadata: dict[str, Any]) -> Artifact:
        """RecordArtifact of v2/metadata/client.go."""
        values = {name: _as_property(value) for name, value in metadata.items() if name != "_kfp_workspace"}
        values.setdefault("display_name", key)
        session = {"Provider": uri.partition("://")[0], "Params": {"fromEnv": "true"}}
        values.setdefault("store_session_info", json.dumps(session, separators=(",", ":")))
        artifact = Artifact(len(self.artifacts) + 1, key, schema, uri, values)
        self.artifacts[artifact.id] = artifact
        return artifact


def _as_property(value: Any) -> Any:
    """StructValueToMLMDValue of converter.go: numbers and booleans become doubles, lists and structs are wrapped."""
    match value:
        case None:
            raise ValueError("failed to convert RuntimeArtifact to MLMD artifact: unknown value type NullValue")
        case bool() | int() | float():
            return float(value)
        case list():
            return {"list": value}
        case dict():
            return {"struct": value}
    return value


def executor_input(
    package: Package, task: str, root: str, parameters: dict[str, Any], done: dict[str, Any]
) -> dict[str, Any]:
    """What Container of v2/driver/container.go hands to the launcher.

    Args:
        package: The package.
        task: The task's name.
        root: The run's folder in the object store.
        parameters: The run's parameters.
        done: Task -> a thing with `outputs` (key -> Artifact) and `parameters` (key -> value).
    """
    inputs = package.tasks[task].get("inputs", {})
    declared = package.component(task).get("inputDefinitions", {}).get("parameters", {})
    values = {}
    for key, source in inputs.get("parameters", {}).items():
        value = _parameter(key, source, parameters, done)
        if value is not None:
            values[key] = value
        elif not declared[key].get("isOptional"):
            raise DriverError(f"the resolved input parameter is null: {key}")
    _convert(values, declared)
    artifacts = {}
    for key, source in inputs.get("artifacts", {}).items():
        if "taskOutputArtifact" not in source:
            raise NotImplementedError(f"task {task}, input {key}: the emulator knows only taskOutputArtifact")
        producer, output = (
            source["taskOutputArtifact"]["producerTask"],
            source["taskOutputArtifact"]["outputArtifactKey"],
        )
        if output not in done[producer].outputs:
            raise DriverError(f"cannot find output artifact key {output!r} in producer task {producer!r}")
        artifacts[key] = {"artifacts": [done[producer].outputs[output].runtime()]}
    message = {
        "inputs": {"parameterValues": values, "artifacts": artifacts},
        "outputs": _provision_outputs(package.component(task), f"{root}/{task}/{uuid.uuid4()}"),
    }
    return json_format.MessageToDict(json_format.ParseDict(message, pipeline_spec_pb2.ExecutorInput()))


def _parameter(key: str, source: dict[str, Any], parameters: dict[str, Any], done: dict[str, Any]) -> Any:
    """resolveInputParameter of v2/driver/resolve.go."""
    match source:
        case {"componentInputParameter": name}:
            return parameters[name]
        case {"runtimeValue": {"constant": value}}:
            return value
        case {"taskOutputParameter": {"producerTask": producer, "outputParameterKey": output}}:
            return done[producer].parameters[output]
    raise DriverError(f"input parameter {key}: {source} is not implemented by the driver")


def _convert(values: dict[str, Any], declared: dict[str, Any]) -> None:
    """handleParamTypeValidationAndConversion of resolve.go: to text where a string is wanted, else no conversion."""
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
    """provisionOutputs of v2/driver/driver.go; also the `executor-logs` that no package declares."""
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
