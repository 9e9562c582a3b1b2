"""How runs and their steps are doing, what they scored, and what a step wrote to its log."""

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from kfp_server_api import V2beta1PipelineTaskDetail, V2beta1Run

from models.errors import InputError
from pipeline.kubeflow.api.client import ApiError, Connection
from pipeline.kubeflow.api.submit import ENDED, parameters_of
from pipeline.kubeflow.log_lines import SCORES, find_line
from pipeline.steps import Step

# Of the pods of a step: one, or one for each attempt.
_POD = re.compile(r"executor(?:\((\d+)\))?")

# Asking is given up after so many failures in a row.
PATIENCE = 10


@dataclass(frozen=True)
class TaskStatus:
    """A step of a run; `pod` is the last attempt's, empty where none ran, as for a cached step."""

    name: str
    state: str
    started: str
    seconds: float | None
    attempts: int
    pod: str


@dataclass(frozen=True)
class Status:
    """A run; `scores` are of all test videos, empty until its Evaluator has them and when its log is gone."""

    run_id: str
    name: str
    experiment: str
    data: str
    state: str
    created: str
    seconds: float | None
    error: str
    link: str
    steps: tuple[TaskStatus, ...]
    scores: dict[str, float]

    @property
    def ended(self) -> bool:
        """Whether its state is final."""
        return self.state in ENDED and self.state != "CANCELING"

    def as_json(self) -> dict[str, Any]:
        """All fields."""
        return asdict(self)

    def step(self, name: str) -> TaskStatus:
        """One of the steps.

        Raises:
            InputError: the run has not begun such a step.
        """
        for step in self.steps:
            if step.name == name:
                return step
        raise InputError(f"STEP is {name!r}, allowed: {', '.join(step.name for step in self.steps) or 'none yet'}")


def read_status(connection: Connection, run_id: str) -> Status:
    """Asks for a run, its steps and its scores.

    Raises:
        InputError: there is no such run.
        ApiError: the API refuses, or cannot be reached.
    """
    try:
        run = connection.ask("read the run", connection.client.runs.run_service_get_run, run_id)
    except ApiError as error:
        if error.status == 404:
            raise InputError(f"RUN is {run_id!r}: {connection.endpoint} has no such run, see `yt8m status`") from None
        raise
    steps = _steps((run.run_details and run.run_details.task_details) or [])
    given = parameters_of(run)
    return Status(
        run_id=run.run_id,
        name=run.display_name,
        experiment=str(given.get("experiment", "")).partition(":")[0],
        data=str(given.get("data", "")),
        state=run.state or "PENDING",
        created=_time(run.created_at),
        seconds=_seconds(run.created_at, run.finished_at),
        error=_error(run),
        link=connection.link(run.run_id),
        steps=steps,
        scores=_scores(connection, run.run_id, steps),
    )


def read_log(connection: Connection, run_id: str, step: TaskStatus) -> str:
    """What the step's last attempt wrote.

    Raises:
        InputError: no pod of it has run.
        ApiError: the log is gone, the API refuses, or cannot be reached.
    """
    if not step.pod:
        raise InputError(f"STEP is {step.name!r}, which is {step.state} and has no log of its own (cached, or waits)")
    api_client = connection.client.runs.api_client

    def get(_request_timeout: Any) -> str:
        answer = api_client.call_api(
            f"/apis/v1alpha1/runs/{run_id}/nodes/{step.pod}/log",
            "GET",
            auth_settings=["Bearer"],
            _return_http_data_only=True,
            _preload_content=False,
            _request_timeout=_request_timeout,
        )
        return str(answer.data.decode("utf-8", "replace"))

    return str(connection.ask(f"read the log of {step.name}", get))


def follow(connection: Connection, run_id: str, tell: Callable[[str], object], interval: float = 10.0) -> Status:
    """Waits for the end of a run.

    Args:
        connection: to the API; it may break for a while.
        run_id: of the run.
        tell: is told of each step that begins or ends, and of lost connections, a line each.
        interval: seconds between two questions.

    Raises:
        ApiError: the API refuses, or cannot be reached for long.
    """
    told: dict[str, str] = {}
    failures = 0
    while True:
        try:
            status = read_status(connection, run_id)
        except ApiError as error:
            failures += 1
            if error.status in (401, 403) or failures == PATIENCE:
                raise
            tell(f"{error}; asking again")
        else:
            failures = 0
            for step in status.steps:
                if told.get(step.name) != step.state:
                    told[step.name] = step.state
                    tell(f"{_time(datetime.now(UTC))}  {step.name}: {step.state}")
            if status.ended:
                return status
        time.sleep(interval)


def _steps(nodes: Iterable[V2beta1PipelineTaskDetail]) -> tuple[TaskStatus, ...]:
    """Out of the nodes of Argo's workflow, where a step has one of its own, one of its driver and one a pod."""
    by_pod = {node.pod_name: node for node in nodes if node.pod_name}
    names = {node.display_name for node in by_pod.values()}
    steps = [
        _step(node, by_pod)
        for node in by_pod.values()
        if f"{node.display_name}-driver" in names and node.display_name != "root"
    ]
    return tuple(sorted(steps, key=lambda step: step.started or "9"))


def _step(node: V2beta1PipelineTaskDetail, by_pod: dict[str, V2beta1PipelineTaskDetail]) -> TaskStatus:
    attempts: dict[int, str] = {}
    parents = [node]
    for parent in parents:
        for child in parent.child_tasks or []:
            found = by_pod.get(child.pod_name)
            if found is None or found.state == "SKIPPED":
                continue
            if pod := _POD.fullmatch(found.display_name):
                # A step that may be tried again has a node of all attempts above theirs.
                attempts[int(pod[1] or -1)] = found.pod_name
                parents.append(found)
    tries = sorted(attempts)
    return TaskStatus(
        name=node.display_name,
        state=node.state or "PENDING",
        started=_time(node.start_time),
        seconds=_seconds(node.start_time, node.end_time),
        attempts=len([attempt for attempt in tries if attempt >= 0]) or len(tries),
        pod=attempts[tries[-1]] if tries else "",
    )


def _scores(connection: Connection, run_id: str, steps: Iterable[TaskStatus]) -> dict[str, float]:
    """From the Evaluator's log: the API does not hand out what artifacts say."""
    for step in steps:
        if step.name == Step.EVALUATOR and step.state == "SUCCEEDED" and step.pod:
            try:
                return find_line(SCORES, read_log(connection, run_id, step))
            except ApiError:
                return {}  # logs go with their pods
    return {}


def _error(run: V2beta1Run) -> str:
    return " ".join(str(run.error.message or "").split()) if run.error else ""


def _is_set(moment: datetime | None) -> bool:
    return moment is not None and moment.year > 1970  # sic: what has not happened yet was in 1970


def _time(moment: datetime | None) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S") if moment is not None and _is_set(moment) else ""


def _seconds(start: datetime | None, end: datetime | None) -> float | None:
    if start is None or end is None or not _is_set(start) or not _is_set(end):
        return None
    return (end - start).total_seconds()
