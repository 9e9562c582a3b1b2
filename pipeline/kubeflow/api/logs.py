"""Logs of steps: from their pods, from Argo's archive, or from the object store through the UI's server."""

import json
import re
import time
from collections import deque
from collections.abc import Iterator
from itertools import chain
from urllib.parse import urlencode, urlsplit

from models.errors import InputError
from pipeline.kubeflow.api.client import Connection
from pipeline.kubeflow.api.errors import ApiError
from pipeline.kubeflow.api.workflow import Pod, Workflow, WorkflowStep, read_workflow

# Where the UI's server reads an object (frontend/server/app.ts), and its names of the stores.
_UI_OBJECT = "/artifacts/get"
_UI_SOURCES = {"minio": "minio", "s3": "s3", "gs": "gcs"}

# The launcher uploads the log of each attempt beside the step's artifacts.
_UPLOADED_LOG = "executor-logs"

# Lines of KFP's launcher around those of the step, in the form of Go's glog.
_LAUNCHER_LINE = re.compile(r"[IWEF]\d{4} [\d:.]+ +\d+ \w+\.go:\d+\] ")

# What servers write of a pod, or of a log in Argo's archive, that does not exist.
_MISSING = re.compile(r"not found|NotFound|NoSuchKey", re.IGNORECASE)

# Characters at the end of a log that are kept to be searched.
LONGEST_END = 1 << 23

# The persistence agent may report the end of a pod a few seconds late.
CONFIRM_SECONDS = 3.0


def stream_log(connection: Connection, workflow: Workflow, step: WorkflowStep) -> Iterator[str]:
    """The log of a step's last attempt, piece by piece: of the pod, else as the launcher uploaded it.

    Raises:
        InputError: the step has not run a pod.
        ApiError: the log is gone, or the API rejects the request or cannot be reached; with a piece: the connection
            broke.
    """
    pod = step.last_pod
    if pod is None:
        why = "it was cached" if step.cached else "it has not started a pod"
        raise InputError(f"STEP is {step.name!r}, which is {step.state} and has no log: {why}")
    try:
        return _stream_pod_log(connection, workflow, step.name, pod)
    except ApiError as error:
        if error.status in (0, 401, 403) or not (connection.ui and step.folder):
            raise
        try:
            return _started(_stream_object(connection, workflow, f"{step.folder}/{_UPLOADED_LOG}-{pod.attempt}"))
        except ApiError as of_the_store:
            raise ApiError(f"{error}; {of_the_store}", error.status) from None


def read_log(connection: Connection, workflow: Workflow, step: WorkflowStep) -> str:
    """The end of that log: all of it, unless it is longer than LONGEST_END."""
    kept: deque[str] = deque()
    length = 0
    for piece in stream_log(connection, workflow, step):
        kept.append(piece)
        length += len(piece)
        while length - len(kept[0]) >= LONGEST_END:
            length -= len(kept.popleft())
    return "".join(kept)


def read_object(connection: Connection, workflow: Workflow, uri: str) -> str:
    """A text of the object store, through the UI's server, which has the store's credentials.

    Raises:
        ApiError: the UI's server cannot read it, or cannot be reached.
    """
    return "".join(_stream_object(connection, workflow, uri))


def object_link(connection: Connection, workflow: Workflow, uri: str) -> str:
    """Address at which the UI's server shows an object."""
    return f"{connection.ui}{_UI_OBJECT}?{urlencode(_object_query(workflow, uri))}"


def last_lines(log: str, number: int = 5) -> tuple[str, ...]:
    """The last lines that a step wrote, without those of KFP's launcher."""
    lines = [line.rstrip() for line in log.splitlines() if line.strip() and not _LAUNCHER_LINE.match(line)]
    return tuple(lines[-number:])


def is_gone(connection: Connection, workflow: Workflow) -> bool:
    """Whether the workflow of a run that has not ended was deleted: its run stays RUNNING for ever.

    No API of KFP says so. But a step that is running has a pod, which is deleted with the workflow.
    """
    if not _lacks_a_pod(connection, workflow):
        return False
    time.sleep(CONFIRM_SECONDS)
    return _lacks_a_pod(connection, read_workflow(connection, workflow.run_id))


def _lacks_a_pod(connection: Connection, workflow: Workflow) -> bool:
    return any(_is_missing(connection, workflow, pod) for step in workflow.steps for pod in step.pods if pod.running)


def _is_missing(connection: Connection, workflow: Workflow, pod: Pod) -> bool:
    """Whether a pod does not exist; false if that cannot be known."""
    try:
        if connection.through_ui:
            connection.read("read the pod", "/k8s/pod", {"podname": pod.name, "podnamespace": workflow.namespace})
        else:  # the API server shows pods by their logs alone
            _stream_pod_log(connection, workflow, "a pod", pod)
    except ApiError as error:
        return bool(_MISSING.search(str(error)))
    return False


def _stream_pod_log(connection: Connection, workflow: Workflow, step: str, pod: Pod) -> Iterator[str]:
    purpose = f"read the log of {step}"
    if connection.through_ui:  # its server passes on neither v1alpha1 nor, in every release, the log of v2beta1
        query = {"podname": pod.name, "runid": workflow.run_id, "podnamespace": workflow.namespace}
        return _started(connection.stream(purpose, "/k8s/pod/logs", query))
    path = f"/apis/v1alpha1/runs/{workflow.run_id}/nodes/{pod.name}/log"
    pieces = connection.stream(purpose, path)
    beginning = next(pieces, "")
    if reason := _error_message(beginning):
        raise ApiError(f"cannot {purpose}: {connection.endpoint} cannot read it: {reason}", 404)
    return chain([beginning], pieces)


def _error_message(log: str) -> str:
    """Why a log cannot be read, which comes as HTTP 200; empty for a log."""
    if not log.startswith('{"error_message"'):
        return ""
    try:
        return str(json.loads(log)["error_message"])
    except (ValueError, LookupError):  # a log whose first line is such JSON
        return ""


def _stream_object(connection: Connection, workflow: Workflow, uri: str) -> Iterator[str]:
    query = _object_query(workflow, uri)
    if workflow.provider:
        query["providerInfo"] = workflow.provider
    return connection.stream(f"read {uri}", _UI_OBJECT, query, host=connection.ui)


def _started(pieces: Iterator[str]) -> Iterator[str]:
    """The same pieces, of a request that has been sent: if it fails, here."""
    return chain([next(pieces, "")], pieces)


def _object_query(workflow: Workflow, uri: str) -> dict[str, str]:
    parts = urlsplit(uri)
    source = _UI_SOURCES.get(parts.scheme, parts.scheme)
    key = parts.path.removeprefix("/")
    return {"source": source, "namespace": workflow.namespace, "bucket": parts.netloc, "key": key}
