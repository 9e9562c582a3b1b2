"""The state, scores and logs of runs and their steps."""

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from kfp_server_api import V2beta1PipelineTaskDetail, V2beta1Run

from models.errors import InputError
from pipeline.kubeflow.api.client import ApiError, Connection
from pipeline.kubeflow.api.runs import ENDED, run_parameters
from pipeline.kubeflow.log_lines import SCORES, find_line
from pipeline.steps import Step

# Names of the nodes of a step's pods: one, or one for each attempt.
_POD = re.compile(r"executor(?:\((\d+)\))?")

# follow() gives up after this many failures in a row.
MAX_FAILURES = 10


@dataclass(frozen=True)
class StepStatus:
    """A step of a run; `pod` is that of the last attempt, empty if none ran, as for a cached step."""

    name: str
    state: str
    started: str
    seconds: float | None
    attempts: int
    pod: str


@dataclass(frozen=True)
class Status:
    """A run; `scores` are those of all test videos, empty until its Evaluator has finished and once its log is gone."""

    run_id: str
    name: str
    experiment: str
    data: str
    state: str
    created: str
    seconds: float | None
    error: str
    link: str
    steps: tuple[StepStatus, ...]
    scores: dict[str, float]

    @property
    def ended(self) -> bool:
        """Whether its state is final; a run that is being cancelled has not ended yet."""
        return self.state in ENDED

    def as_json(self) -> dict[str, Any]:
        """All fields."""
        return asdict(self)

    def step(self, name: str) -> StepStatus:
        """The step of a name.

        Raises:
            InputError: the run has not started such a step.
        """
        for step in self.steps:
            if step.name == name:
                return step
        raise InputError(f"STEP is {name!r}, allowed: {', '.join(step.name for step in self.steps) or 'none yet'}")


def read_status(connection: Connection, run_id: str) -> Status:
    """Reads a run, its steps and its scores.

    Raises:
        InputError: there is no such run.
        ApiError: the API rejects the request, or cannot be reached.
    """
    try:
        run = connection.call("read the run", connection.client.runs.run_service_get_run, run_id)
    except ApiError as error:
        if error.status == 404:
            raise InputError(f"RUN is {run_id!r}: {connection.endpoint} has no such run, see `yt8m status`") from None
        raise
    steps = _steps((run.run_details and run.run_details.task_details) or [])
    parameters = run_parameters(run)
    return Status(
        run_id=run.run_id,
        name=run.display_name,
        experiment=str(parameters.get("experiment", "")).partition(":")[0],
        data=str(parameters.get("data", "")),
        state=run.state or "PENDING",
        created=_time(run.created_at),
        seconds=_seconds(run.created_at, run.finished_at),
        error=_error(run),
        link=connection.link(run.run_id),
        steps=steps,
        scores=_scores(connection, run.run_id, steps),
    )


def read_log(connection: Connection, run_id: str, step: StepStatus) -> str:
    """The log of a step's last attempt.

    Raises:
        InputError: the step has not run a pod.
        ApiError: the log is gone, or the API rejects the request or cannot be reached.
    """
    if not step.pod:
        raise InputError(f"STEP is {step.name!r}, which is {step.state} and has no log: it was cached, or is waiting")
    api_client = connection.client.runs.api_client

    def get(_request_timeout: Any) -> str:
        response = api_client.call_api(
            f"/apis/v1alpha1/runs/{run_id}/nodes/{step.pod}/log",
            "GET",
            auth_settings=["Bearer"],
            _return_http_data_only=True,
            _preload_content=False,
            _request_timeout=_request_timeout,
        )
        return str(response.data.decode("utf-8", "replace"))

    return str(connection.call(f"read the log of {step.name}", get))


def follow(connection: Connection, run_id: str, report: Callable[[str], object], interval: float = 10.0) -> Status:
    """Waits until a run ends.

    Args:
        connection: connection to the API; it may break for a while.
        run_id: id of the run.
        report: called with one line for each step that starts or ends, and for each failed request.
        interval: seconds between two requests.

    Raises:
        ApiError: the API rejects the token, or MAX_FAILURES requests in a row have failed.
    """
    reported: dict[str, str] = {}
    failures = 0
    while True:
        try:
            status = read_status(connection, run_id)
        except ApiError as error:
            failures += 1
            if error.status in (401, 403) or failures == MAX_FAILURES:
                raise
            report(f"{error}; retrying")
        else:
            failures = 0
            for step in status.steps:
                if reported.get(step.name) != step.state:
                    reported[step.name] = step.state
                    report(f"{_time(datetime.now(UTC))}  {step.name}: {step.state}")
            if status.ended:
                return status
        time.sleep(interval)


def _steps(nodes: Iterable[V2beta1PipelineTaskDetail]) -> tuple[StepStatus, ...]:
    """The steps among the nodes of Argo's workflow, which has a node for each step, each driver and each pod."""
    by_pod = {node.pod_name: node for node in nodes if node.pod_name}
    names = {node.display_name for node in by_pod.values()}
    steps = [
        _step(node, by_pod)
        for node in by_pod.values()
        if f"{node.display_name}-driver" in names and node.display_name != "root"
    ]
    return tuple(sorted(steps, key=lambda step: step.started or "9"))  # steps that have not started come last


def _step(node: V2beta1PipelineTaskDetail, by_pod: dict[str, V2beta1PipelineTaskDetail]) -> StepStatus:
    attempts: dict[int, str] = {}
    parents = [node]
    for parent in parents:
        for child in parent.child_tasks or []:
            child_node = by_pod.get(child.pod_name)
            if child_node is None or child_node.state == "SKIPPED":
                continue
            if pod := _POD.fullmatch(child_node.display_name):
                # A step with retries has a node for all attempts, whose children are the attempts.
                attempts[int(pod[1] or -1)] = child_node.pod_name
                parents.append(child_node)
    numbers = sorted(attempts)
    return StepStatus(
        name=node.display_name,
        state=node.state or "PENDING",
        started=_time(node.start_time),
        seconds=_seconds(node.start_time, node.end_time),
        attempts=len([number for number in numbers if number >= 0]) or len(numbers),
        pod=attempts[numbers[-1]] if numbers else "",
    )


def _scores(connection: Connection, run_id: str, steps: Iterable[StepStatus]) -> dict[str, float]:
    """Scores from the Evaluator's log, as the API returns no metadata of artifacts."""
    for step in steps:
        if step.name == Step.EVALUATOR and step.state == "SUCCEEDED" and step.pod:
            try:
                return find_line(SCORES, read_log(connection, run_id, step))
            except ApiError:
                return {}  # logs are deleted with their pods
    return {}


def _error(run: V2beta1Run) -> str:
    return " ".join(str(run.error.message or "").split()) if run.error else ""


def _is_set(moment: datetime | None) -> bool:
    return moment is not None and moment.year > 1970  # the API's value for a time that is not known yet


def _time(moment: datetime | None) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S") if moment is not None and _is_set(moment) else ""


def _seconds(start: datetime | None, end: datetime | None) -> float | None:
    if start is None or end is None or not _is_set(start) or not _is_set(end):
        return None
    return (end - start).total_seconds()
