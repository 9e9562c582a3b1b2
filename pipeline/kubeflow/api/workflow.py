"""The Argo workflow of a run: its steps, their pods, and where their artifacts are.

The v2beta1 API has no pods of steps (KFP 2.17 leaves `pod_name` out of task details); the v1beta1 API returns the
workflow as Argo wrote it.
"""

import base64
import gzip
import json
import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from models.errors import InputError
from pipeline.kubeflow.api.client import Connection
from pipeline.kubeflow.api.errors import ApiError, api_errors

_OFFLOADED = "Argo keeps them in a database of its own (nodeStatusOffLoad), which Kubeflow Pipelines does not read"

# Argo's phases in the words of KFP's API. A step is omitted if one that it needs failed.
_STATES = {"Error": "FAILED"}
OMITTED = "OMITTED"

# Argo's name of a driver is that of its step and this; of its template, one of KFP's.
_DRIVER = "-driver"
_DRIVER_TEMPLATES = ("system-container-driver", "system-dag-driver")
_ATTEMPT = re.compile(r"executor\((\d+)\)")

# Longest name of a pod before its hash (ensurePodNamePrefixLength of Argo's workflow/util/pod_name.go).
_MAX_PREFIX = 253 - 10 - 1

_Node = Mapping[str, Any]


@dataclass(frozen=True)
class Pod:
    """A pod of a step: one attempt; `message` is Argo's, of a failure or of what a waiting pod waits for."""

    name: str
    attempt: int
    running: bool
    waiting: bool
    message: str


@dataclass(frozen=True)
class WorkflowStep:
    """A step of a run.

    Attributes:
        name: name of the step.
        state: PENDING, RUNNING, SUCCEEDED, FAILED, SKIPPED or OMITTED.
        started: when its driver started it; None if it has not started.
        ended: None if it has not ended.
        cached: whether its artifacts were found in KFP's cache.
        pods: one for each attempt.
        driver: the pod that failed before the step could start.
        message: why the step, or its last attempt, failed, or what its pod waits for.
        folder: URI of the folder of its artifacts in the object store; empty if unknown.
    """

    name: str
    state: str
    started: datetime | None
    ended: datetime | None
    cached: bool
    pods: tuple[Pod, ...]
    driver: Pod | None
    message: str
    folder: str

    @property
    def last_pod(self) -> Pod | None:
        """The pod that has the step's log."""
        return self.pods[-1] if self.pods else self.driver


@dataclass(frozen=True)
class Workflow:
    """The workflow of a run.

    Attributes:
        run_id: id of the run.
        namespace: where its pods are.
        message: why it failed as a whole, such as an invalid package or a user who stopped it.
        steps: in the order of their start; those that have not started come last.
        no_steps: why it has none, unless none has started yet.
        provider: how the launcher reaches the object store, JSON, for the UI's server; empty if unknown.
    """

    run_id: str
    namespace: str
    message: str
    steps: tuple[WorkflowStep, ...]
    no_steps: str
    provider: str

    def step(self, name: str) -> WorkflowStep:
        """The step of a name.

        Raises:
            InputError: the run has no such step yet.
        """
        for step in self.steps:
            if step.name == name:
                return step
        if self.no_steps:
            raise InputError(f"STEP is {name!r}, but the steps of run {self.run_id} cannot be read: {self.no_steps}")
        raise InputError(f"STEP is {name!r}, allowed: {', '.join(step.name for step in self.steps) or 'none yet'}")


def read_workflow(connection: Connection, run_id: str) -> Workflow:
    """Reads the workflow of a run.

    Raises:
        InputError: there is no such run.
        ApiError: the API rejects the request, or cannot be reached.
    """
    purpose = "read the workflow of the run"
    try:
        with api_errors(connection.endpoint, purpose):
            answer = json.loads(connection.read(purpose, f"/apis/v1beta1/runs/{quote(run_id, safe='')}"))
            manifest = (answer.get("pipeline_runtime") or {}).get("workflow_manifest") or "{}"
            return parse_workflow(answer["run"]["id"], json.loads(manifest))
    except ApiError as error:
        if error.status == 404:
            raise no_such_run(connection, run_id) from None
        raise


def no_such_run(connection: Connection, run_id: str) -> InputError:
    """The refusal of a run's id that is not known."""
    return InputError(f"RUN is {run_id!r}: {connection.endpoint} has no such run, see `yt8m status`")


def parse_workflow(run_id: str, manifest: _Node) -> Workflow:
    """The workflow of a run from its manifest, which has no nodes before its first step.

    Raises:
        ValueError, TypeError, AttributeError, LookupError: the manifest is no workflow of Argo.
    """
    metadata = manifest.get("metadata") or {}
    status = manifest.get("status") or {}
    nodes = list((status.get("nodes") or _decompressed(status.get("compressedNodes"))).values())
    root = next((node for node in nodes if node["displayName"] == "root" and node["type"] == "DAG"), None)
    inner = [node for node in nodes if root and node.get("boundaryID") == root["id"]]
    drivers = {node["displayName"].removesuffix(_DRIVER): node for node in inner if _is_driver(node)}
    own = {node["displayName"]: node for node in inner if not _is_driver(node)}
    launches = {name: _executor_input(driver) for name, driver in drivers.items()}
    inputs = [artifact for launch in launches.values() for artifact in _artifacts(launch, "inputs")]
    v1_names = (metadata.get("annotations") or {}).get("workflows.argoproj.io/pod-name-format") == "v1"
    steps = [
        _step(
            name,
            own.get(name, {}),
            drivers.get(name, {}),
            below=[node for node in nodes if name in own and node.get("boundaryID") == own[name]["id"]],
            folder=_folder(name, [*_artifacts(launches.get(name, {}), "outputs"), *inputs]),
            v1_names=v1_names,
        )
        for name in dict.fromkeys([*own, *drivers])
    ]
    providers = (artifact.get("metadata", {}).get("store_session_info") for artifact in inputs)
    return Workflow(
        run_id=run_id,
        namespace=metadata.get("namespace", ""),
        message="; ".join(filter(None, [status.get("message"), *(() if root else _messages_of_pods(nodes))])),
        steps=tuple(sorted(steps, key=_order)),
        no_steps=_OFFLOADED if not nodes and status.get("offloadNodeStatusVersion") else "",
        provider=next(filter(None, providers), ""),
    )


def _messages_of_pods(nodes: list[_Node]) -> list[str]:
    """Why pods failed, such as that of the driver that runs before all steps."""
    failed = [node for node in nodes if node["type"] == "Pod" and _state(node) == "FAILED"]
    return [f"{node['displayName']}: {node.get('message') or 'failed'}" for node in failed]


def _decompressed(nodes: str | None) -> dict[str, _Node]:
    """The nodes of a workflow above 1 MiB, which Argo writes as gzip in base64 (workflow/packer/packer.go of 4.0.7)."""
    try:
        return dict(json.loads(gzip.decompress(base64.b64decode(nodes)))) if nodes else {}
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"compressedNodes: {error}") from None


def _step(name: str, node: _Node, driver: _Node, below: list[_Node], folder: str, v1_names: bool) -> WorkflowStep:
    """A step from its own node, its driver's and those below its own; an importer is a pod itself, without driver."""
    attempts = [_pod(pod, v1_names) for pod in [node, *below] if pod.get("type") == "Pod"]
    attempts.sort(key=lambda pod: pod.attempt)
    failures = [pod.message for pod in attempts if pod.message][-1:]
    retries = [above for above in below if above["type"] == "Retry"]
    failures += [failed.get("message", "") for failed in [*retries, driver] if _state(failed) == "FAILED"]
    failed_driver = _pod(driver, v1_names) if _state(driver) == "FAILED" else None
    state = "FAILED" if failed_driver else _state(node or {"phase": _before_step(driver)})
    started = state != OMITTED
    return WorkflowStep(
        name=name,
        state=state,
        started=_time(node.get("startedAt")) if started else None,
        ended=_time(node.get("finishedAt")) if started else None,
        cached=_parameter(driver, "cached-decision") == "true",
        pods=tuple(attempts),
        driver=failed_driver,
        message="; ".join(dict.fromkeys(filter(None, failures))),
        folder=folder,
    )


def _order(step: WorkflowStep) -> tuple[bool, datetime]:
    return step.started is None, step.started or datetime.max


def _is_driver(node: _Node) -> bool:
    return node.get("templateName") in _DRIVER_TEMPLATES and str(node["displayName"]).endswith(_DRIVER)


def _before_step(driver: _Node) -> str:
    return "Omitted" if driver.get("phase") == "Omitted" else "Pending"


def _state(node: _Node) -> str:
    phase = node.get("phase") or "Pending"
    return _STATES.get(phase, phase.upper())


def _pod(node: _Node, v1_names: bool) -> Pod:
    """The pod of a node: `<workflow>-<template>-<hash>`, where the node's id is `<workflow>-<hash>`."""
    workflow, _, number = node["id"].rpartition("-")
    prefix = f"{workflow}-{node['templateName']}"[:_MAX_PREFIX]
    name = node["id"] if v1_names else f"{prefix}-{number}"
    attempt = _ATTEMPT.fullmatch(node["displayName"])
    message, phase = node.get("message") or "", node["phase"]
    return Pod(name, int(attempt[1]) if attempt else 0, phase == "Running", phase == "Pending", message)


def _parameter(node: _Node, name: str) -> str:
    parameters = node.get("outputs", {}).get("parameters") or []
    return next((parameter.get("value") or "" for parameter in parameters if parameter["name"] == name), "")


def _executor_input(driver: _Node) -> _Node:
    """What the driver tells the launcher: the URIs of inputs and outputs; empty for a cached step."""
    patch = json.loads(_parameter(driver, "pod-spec-patch") or "{}")
    for container in patch.get("containers", []):
        command = container.get("command", [])
        if "--executor_input" in command:
            return dict(json.loads(command[command.index("--executor_input") + 1]))
    return {}


def _artifacts(executor_input: _Node, side: str) -> list[_Node]:
    listed = (executor_input.get(side, {}).get("artifacts") or {}).values()
    return [artifact for entry in listed for artifact in entry.get("artifacts") or []]


def _folder(step: str, artifacts: Iterable[_Node]) -> str:
    """Folder of a step's artifacts, whose URIs are `<root>/<pipeline>/<run>/<step>/<uuid>/<artifact>`."""
    for artifact in artifacts:
        folder = artifact.get("uri", "").rpartition("/")[0]
        if folder.split("/")[-2:-1] == [step]:
            return str(folder)
    return ""


def _time(text: str | None) -> datetime | None:
    moment = datetime.fromisoformat(text) if text else None
    return moment if moment and moment.year > 1970 else None
