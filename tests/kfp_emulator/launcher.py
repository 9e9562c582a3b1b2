"""KFP's launcher: what it does before and after a container's command (backend/src/v2/component/launcher_v2.go)."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from kfp_emulator.driver import as_text
from kfp_emulator.metadata import Artifact, Metadata
from kfp_emulator.object_store import ObjectStore, local_path
from kfp_emulator.pods.pod import Fault, Pod, PodServer


class LauncherError(RuntimeError):
    """The launcher ends with an error, and the attempt has failed."""


@dataclass
class Outputs:
    """The outputs of a successful attempt."""

    artifacts: dict[str, Artifact] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass
class Launcher:
    """Runs containers.

    Attributes:
        store: The object store.
        metadata: ML Metadata.
        server: Starts the processes.
        strict_outputs: Whether a declared output that the container did not write fails the task, as in releases that
            no longer use ML Metadata; else it is a warning.
    """

    store: ObjectStore
    metadata: Metadata
    server: PodServer
    strict_outputs: bool

    def execute(
        self,
        component: dict[str, Any],
        container: dict[str, Any],
        executor_input: dict[str, Any],
        root: str,
        pod: Pod,
        attempt: int,
        fault: Fault | None,
    ) -> Outputs:
        """Execute: download, run, upload.

        The log of each attempt becomes `executor-logs-ATTEMPT`, also that of one that fails, but not of one that is
        killed (uploads in api/recorded/log_failed.txt).

        Args:
            component: The component's spec.
            container: The executor's container spec.
            executor_input: From the driver; not changed.
            root: The run's folder in the object store; outputs must lie in it.
            pod: A new pod.
            attempt: Its number, from 0: KFP_RETRY_INDEX.
            fault: When and how to kill the pod.

        Raises:
            LauncherError: The attempt has failed.
        """
        executor_input = json.loads(json.dumps(executor_input))
        logs = executor_input["outputs"]["artifacts"]["executor-logs"]["artifacts"][0]
        logs["uri"] += f"-{attempt}"
        for artifact in _artifacts(executor_input.get("inputs", {})):
            if path := _path(artifact):
                self.store.download(artifact["uri"], pod.inside(path))
        _prepare_output_folders(executor_input["outputs"], pod)
        command = _substitute([*container.get("command", []), *container.get("args", [])], component, executor_input)
        status, killed = self.server.run(pod, [_expand(word, pod.environment) for word in command], fault)
        if killed:
            raise LauncherError(f"the pod was killed ({fault.signal.name})")
        pod.inside(local_path(logs["uri"])).write_bytes(pod.log.read_bytes())
        if status:
            self._upload("executor-logs", pod.inside(local_path(logs["uri"])), logs["uri"], pod.log)
            raise LauncherError(f"the container ended with exit status {status}")
        output = _read_output_file(pod.inside(executor_input["outputs"]["outputFile"]))
        parameters = _collect_parameters(executor_input, output, component, pod)
        artifacts = self._collect(executor_input["outputs"]["artifacts"], output.get("artifacts", {}), root, pod)
        return Outputs(artifacts, parameters)

    def _collect(self, declared: dict[str, Any], written: dict[str, Any], root: str, pod: Pod) -> dict[str, Artifact]:
        """uploadOutputArtifacts: merges what the output file reports, uploads, records."""
        recorded = {}
        for key, listed in declared.items():
            artifact = listed["artifacts"][0]
            if reported := written.get(key, {}).get("artifacts"):
                artifact["uri"] = reported[0].get("uri") or artifact["uri"]
                artifact.setdefault("metadata", {}).update(reported[0].get("metadata", {}))
                artifact.update({"customPath": reported[0]["customPath"]} if reported[0].get("customPath") else {})
            if path := _path(artifact):
                if not artifact["uri"].startswith(root + "/"):
                    raise LauncherError(f"failed to upload output artifact {key!r}: {artifact['uri']} is not in {root}")
                self._upload(key, pod.inside(path), artifact["uri"], pod.log)
            title = artifact["type"].get("schemaTitle") or _title(artifact["type"].get("instanceSchema", ""))
            try:
                recorded[key] = self.metadata.record(key, title, artifact["uri"], artifact.get("metadata", {}))
            except ValueError as error:
                raise LauncherError(f"unable to produce MLMD artifact for output {key!r}: {error}") from error
        return recorded

    def _upload(self, key: str, source: Path, uri: str, log: Path) -> None:
        try:
            self.store.upload(source, uri)
        except FileNotFoundError as error:
            if self.strict_outputs and key != "executor-logs":
                raise LauncherError(f"failed to upload output artifact {key!r}: {source} does not exist") from error
            with log.open("a") as messages:
                messages.write(f"Local filepath {local_path(uri)!r} does not exist\n")


def _artifacts(side: dict[str, Any]) -> list[dict[str, Any]]:
    return [artifact for listed in side.get("artifacts", {}).values() for artifact in listed["artifacts"]]


def _path(artifact: dict[str, Any]) -> str | None:
    """retrieveArtifactPath."""
    return artifact.get("customPath") or local_path(artifact["uri"])


def _title(schema: str) -> str:
    match = re.search(r"^title:\s*(\S+)", schema, re.MULTILINE)
    if not match:
        raise LauncherError(f"an output's schema has no title: {schema!r}")
    return match[1]


def _prepare_output_folders(outputs: dict[str, Any], pod: Pod) -> None:
    """prepareOutputFolders: only the parents, as an artifact may be a file or a folder."""
    paths = [parameter["outputFile"] for parameter in outputs.get("parameters", {}).values()]
    for artifact in _artifacts(outputs):
        if not _path(artifact):
            raise LauncherError(f"failed to generate local storage path for {artifact['uri']}: unsupported scheme")
        paths.append(_path(artifact))
    for path in paths:
        pod.inside(path).parent.mkdir(parents=True, exist_ok=True)


def _substitute(words: list[str], component: dict[str, Any], executor_input: dict[str, Any]) -> list[str]:
    """addDefaultParams and compileCmdAndArgs; in the first word only `{{$}}` is replaced."""
    if not words:
        raise LauncherError("command and arguments are empty")
    inputs = executor_input.get("inputs", {})
    values = dict(inputs.get("parameterValues", {}))
    for key, parameter in component.get("inputDefinitions", {}).get("parameters", {}).items():
        if "defaultValue" in parameter:
            values.setdefault(key, parameter["defaultValue"])
    whole = json.dumps(executor_input | {"inputs": inputs | {"parameterValues": values}}, separators=(",", ":"))
    placeholders = {f"{{{{$.inputs.parameters['{key}']}}}}": as_text(value) for key, value in values.items()}
    for side in ("inputs", "outputs"):
        for key, listed in executor_input.get(side, {}).get("artifacts", {}).items():
            artifact = listed["artifacts"][0]
            placeholders[f"{{{{$.{side}.artifacts['{key}'].uri}}}}"] = artifact["uri"]
            if path := _path(artifact):
                placeholders[f"{{{{$.{side}.artifacts['{key}'].path}}}}"] = path
    for key, parameter in executor_input["outputs"].get("parameters", {}).items():
        placeholders[f"{{{{$.outputs.parameters['{key}'].output_file}}}}"] = parameter["outputFile"]
    command = [word.replace("{{$}}", whole) for word in words]
    for placeholder, value in placeholders.items():
        command[1:] = [word.replace(placeholder, value) for word in command[1:]]
    return command


def _expand(word: str, environment: dict[str, str]) -> str:
    """Kubernetes replaces $(NAME) in a container's arguments where NAME is set, and $$(NAME) by $(NAME)."""
    return re.sub(
        r"(\$?)\$\(([A-Za-z_][A-Za-z0-9_]*)\)",
        lambda match: match[0][1:] if match[1] else environment.get(match[2], match[0]),
        word,
    )


def _read_output_file(path: Path) -> dict[str, Any]:
    """getExecutorOutputFile: the file may be missing, but may have only the fields of ExecutorOutput."""
    if not path.exists():
        return {}
    message = pipeline_spec_pb2.ExecutorOutput()
    try:
        json_format.ParseDict(json.loads(path.read_text(), parse_constant=_reject_constant), message)
    except (json_format.ParseError, ValueError) as error:
        raise LauncherError(f"failed to unmarshall ExecutorOutput in file {path.name}: {error}") from error
    return json_format.MessageToDict(message)


def _reject_constant(constant: str) -> None:
    """Python's JSON allows NaN and Infinity, Go's does not."""
    raise ValueError(f"invalid value {constant}")


def _collect_parameters(
    executor_input: dict[str, Any], output: dict[str, Any], component: dict[str, Any], pod: Pod
) -> dict[str, Any]:
    """collectOutputParameters: from the output file, else from the parameter's own file."""
    values = dict(output.get("parameterValues", {}))
    for key, parameter in executor_input["outputs"].get("parameters", {}).items():
        if key in values:
            continue
        kind = component["outputDefinitions"]["parameters"][key]["parameterType"]
        path = pod.inside(parameter["outputFile"])
        try:
            text = path.read_text()
            values[key] = text if kind == "STRING" else json.loads(text)
        except (OSError, ValueError) as error:
            raise LauncherError(f"failed to read output parameter name={key!r} type={kind!r}: {error}") from error
    return values
