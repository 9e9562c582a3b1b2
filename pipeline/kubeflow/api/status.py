"""The state, steps and scores of runs."""

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from kfp_server_api import V2beta1Run

from models.errors import InputError
from pipeline.kubeflow.api.client import Connection
from pipeline.kubeflow.api.errors import ApiError
from pipeline.kubeflow.api.logs import is_gone, last_lines, read_log
from pipeline.kubeflow.api.runs import ENDED, run_parameters
from pipeline.kubeflow.api.scores import read_scores
from pipeline.kubeflow.api.workflow import Workflow, WorkflowStep, no_such_run, read_workflow

# follow() gives up after this many failures in a row.
MAX_FAILURES = 10

GONE = "its workflow is gone"


@dataclass(frozen=True)
class StepStatus:
    """A step of a run.

    Attributes:
        name: name of the step.
        state: see `WorkflowStep`.
        started: UTC, or empty.
        seconds: from its start to its end.
        attempts: number of its pods.
        pod: the pod of the last attempt, empty if none ran, as for a cached step.
        cached: whether it was found in KFP's cache.
        waiting: whether its pod waits, as for a node or an image.
        message: why it, or an attempt, failed, or what the pod waits for.
        log: the last lines of its log, if it failed, or why there is no log.
    """

    name: str
    state: str
    started: str
    seconds: float | None
    attempts: int
    pod: str
    cached: bool
    waiting: bool
    message: str
    log: tuple[str, ...]


@dataclass(frozen=True)
class Status:
    """A run.

    Attributes:
        run_id: id of the run.
        name: name of the run.
        experiment: name of the experiment.
        data: pattern of the raw shards.
        state: KFP's; it stays RUNNING if the workflow is gone.
        workflow_gone: whether the workflow was deleted before it ended.
        created: UTC.
        seconds: from its creation to its end.
        error: why it failed.
        link: address of its page in the UI, or empty.
        steps: its steps.
        no_steps: why they cannot be read; empty if they can.
        scores: those of all test videos; empty until its Evaluator has succeeded.
        scores_source: where they are from, or why there are none.
    """

    run_id: str
    name: str
    experiment: str
    data: str
    state: str
    workflow_gone: bool
    created: str
    seconds: float | None
    error: str
    link: str
    steps: tuple[StepStatus, ...]
    no_steps: str
    scores: dict[str, float]
    scores_source: str

    @property
    def ended(self) -> bool:
        """Whether nothing of it will run any more; a run that is being cancelled has not ended yet."""
        return self.state in ENDED or self.workflow_gone

    def as_json(self) -> dict[str, Any]:
        """All fields."""
        return asdict(self)


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
            raise no_such_run(connection, run_id) from None
        raise
    workflow = read_workflow(connection, run_id)
    steps = tuple(_step(connection, workflow, step) for step in workflow.steps)
    parameters = run_parameters(run)
    gone = run.state not in ENDED and is_gone(connection, workflow)
    scores = read_scores(connection, workflow)
    return Status(
        run_id=str(run.run_id),
        name=str(run.display_name or ""),
        experiment=str(parameters.get("experiment", "")).partition(":")[0],
        data=str(parameters.get("data", "")),
        state=str(run.state or "PENDING"),
        workflow_gone=gone,
        created=_time(run.created_at),
        seconds=_seconds(run.created_at, run.finished_at),
        error=GONE if gone else _error(run, steps, workflow.message),
        link=connection.link(run.run_id),
        steps=steps,
        no_steps=workflow.no_steps,
        scores=scores.values,
        scores_source=scores.source,
    )


def read_statuses(connection: Connection, run_ids: Iterable[str]) -> list[Status]:
    """Reads several runs; those that were deleted meanwhile are left out.

    Raises:
        ApiError: the API rejects a request, or cannot be reached.
    """
    statuses = []
    for run_id in run_ids:
        try:
            statuses.append(read_status(connection, run_id))
        except ApiError:
            raise
        except InputError:
            continue
    return statuses


def follow(connection: Connection, run_id: str, report: Callable[[str], object], interval: float = 10.0) -> Status:
    """Waits until a run ends, or its workflow is gone.

    Args:
        connection: connection to the API; it may break for a while.
        run_id: id of the run.
        report: called with one line for each step that starts, waits, is tried again or ends, and for each failed
            request.
        interval: seconds between two requests.

    Raises:
        InputError: there is no such run, or it was deleted.
        ApiError: the API rejects the token, or MAX_FAILURES requests in a row have failed.
    """
    reported: dict[str, tuple[str, int, bool]] = {}
    failures, known = 0, False
    while True:
        try:
            status = read_status(connection, run_id)
        except ApiError as error:
            failures += 1
            if error.status in (401, 403) or failures == MAX_FAILURES:
                raise
            report(f"{error}; retrying")
        except InputError:
            if known:
                raise InputError(f"run {run_id} was deleted before it ended") from None
            raise
        else:
            failures, known = 0, True
            for step in status.steps:
                if reported.get(step.name) != (step.state, step.attempts, step.waiting):
                    reported[step.name] = step.state, step.attempts, step.waiting
                    report(f"{_time(datetime.now(UTC))}  {step.name}: {_progress(step)}")
            if status.ended:
                return status
        time.sleep(interval)


def _progress(step: StepStatus) -> str:
    details = ["cached"] if step.cached else []
    if step.attempts > 1:
        details.append(f"attempt {step.attempts}")
    if step.message:
        details.append(f"waits: {step.message}" if step.waiting else step.message)
    return step.state + (f" ({', '.join(details)})" if details else "")


def _step(connection: Connection, workflow: Workflow, step: WorkflowStep) -> StepStatus:
    pod = step.last_pod
    return StepStatus(
        name=step.name,
        state=step.state,
        started=_time(step.started),
        seconds=_seconds(step.started, step.ended),
        attempts=len(step.pods),
        pod=pod.name if pod else "",
        cached=step.cached,
        waiting=bool(step.message and pod and pod.waiting),
        message=step.message,
        log=_end_of_log(connection, workflow, step) if step.state == "FAILED" and pod else (),
    )


def _end_of_log(connection: Connection, workflow: Workflow, step: WorkflowStep) -> tuple[str, ...]:
    try:
        return last_lines(read_log(connection, workflow, step))
    except ApiError as error:
        return (str(error),)


def _error(run: V2beta1Run, steps: tuple[StepStatus, ...], of_workflow: str) -> str:
    """Why a run failed, by its steps or its workflow: KFP's `error` is null for failed runs."""
    if run.state != "FAILED":
        return ""
    failed = [f"{step.name}: {step.message or 'failed'}" for step in steps if step.state == "FAILED"]
    text = (run.error and run.error.message) or "; ".join(failed) or of_workflow
    return " ".join(str(text).split())


def _is_set(moment: datetime | None) -> bool:
    return moment is not None and moment.year > 1970  # the API's value for a time that is not known yet


def _time(moment: datetime | None) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S") if moment is not None and _is_set(moment) else ""


def _seconds(start: datetime | None, end: datetime | None) -> float | None:
    if start is None or end is None or not _is_set(start) or not _is_set(end):
        return None
    return (end - start).total_seconds()
