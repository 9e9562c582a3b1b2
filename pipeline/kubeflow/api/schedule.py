"""Schedules: KFP's recurring runs, one per name."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from kfp_server_api import (
    RecurringRunMode,
    V2beta1CronSchedule,
    V2beta1PipelineVersionReference,
    V2beta1RecurringRun,
    V2beta1RuntimeConfig,
    V2beta1Trigger,
)

from models.errors import InputError
from pipeline.kubeflow.api.client import Connection, filter_by_name
from pipeline.kubeflow.api.errors import ApiError
from pipeline.kubeflow.api.runs import run_parameters


@dataclass(frozen=True)
class Schedule:
    """A recurring run.

    `service_account` is the Kubernetes service account of the steps, empty for KFP's default. `schedule_id` is empty
    until the schedule is created.
    """

    name: str
    cron: str
    experiment_id: str
    pipeline_id: str
    version_id: str
    parameters: dict[str, Any]
    pipeline_root: str = ""
    service_account: str = ""
    paused: bool = False
    schedule_id: str = ""

    def as_json(self) -> dict[str, Any]:
        """All fields."""
        return asdict(self)

    def has_same_definition(self, wanted: "Schedule") -> bool:
        """Whether both start the same runs at the same times, apart from a pause."""
        # The API also returns the account that it has chosen itself.
        account = self.service_account if wanted.service_account else ""
        own = replace(self, paused=wanted.paused, schedule_id=wanted.schedule_id, service_account=account)
        return own == wanted


def parse_cron(text: str) -> str:
    """A cron expression in KFP's form: seconds, minutes, hours, day of the month, month, day of the week.

    Args:
        text: these six fields, or the usual five without seconds.

    Raises:
        InputError: the text has neither five nor six fields. The API checks their values.
    """
    fields = text.split()
    if len(fields) not in (5, 6):
        raise InputError(f"--cron is {text!r}, expected 5 fields, or 6 with seconds first, say '0 3 * * 1'")
    return " ".join(fields if len(fields) == 6 else ["0", *fields])


def list_schedules(connection: Connection, name: str | None = None) -> Iterator[Schedule]:
    """All schedules, or those of a name, oldest first."""
    by_name = {"filter": filter_by_name(name)} if name else {}
    method, space = connection.client.recurring_runs.recurring_run_service_list_recurring_runs, connection.namespace
    recurring_runs = connection.list_all(
        "list schedules", method, "recurring_runs", sort_by="created_at", namespace=space, **by_name
    )
    # The server's database may ignore case.
    return (_schedule(recurring) for recurring in recurring_runs if name in (None, recurring.display_name))


def find_schedule(connection: Connection, name: str) -> Schedule:
    """The schedule of a name.

    Raises:
        InputError: there is no such schedule.
    """
    for schedule in list_schedules(connection, name):
        return schedule
    names = ", ".join(schedule.name for schedule in list_schedules(connection)) or "none, there is no schedule"
    raise InputError(f"NAME is {name!r}, allowed: {names}")


def create_schedule(connection: Connection, wanted: Schedule) -> tuple[Schedule, bool]:
    """Creates a schedule unless it exists. It starts one run at a time and skips missed times.

    Returns:
        The schedule, and whether it is new.

    Raises:
        InputError: another schedule has that name.
        ApiError: the API rejects the schedule, or cannot be reached.
    """
    schedule, new = connection.create(
        lambda: next(list_schedules(connection, wanted.name), None), lambda: _make(connection, wanted)
    )
    if not schedule.has_same_definition(wanted):
        raise InputError(
            f"schedule {wanted.name} exists with another cron, package, pipeline root or parameters "
            f"(cron {schedule.cron}): use `yt8m schedule replace`"
        )
    return schedule, new


def replace_schedule(connection: Connection, wanted: Schedule) -> tuple[Schedule, bool]:
    """Replaces the schedules of a name, as KFP cannot change them.

    The new one is created first, paused if the old one was: a broken connection may leave both, which a second call
    cleans up, but never none.

    Returns:
        The schedule, and whether anything changed.

    Raises:
        ApiError: the API rejects the schedule, or cannot be reached.
    """
    paused = any(schedule.paused for schedule in list_schedules(connection, wanted.name))
    schedule, new = connection.create(
        lambda: next((old for old in list_schedules(connection, wanted.name) if old.has_same_definition(wanted)), None),
        lambda: _make(connection, replace(wanted, paused=paused)),
    )
    replaced = [old for old in list_schedules(connection, wanted.name) if old.schedule_id != schedule.schedule_id]
    for old in replaced:
        _delete(connection, old)
    return schedule, new or bool(replaced)


def pause_schedule(connection: Connection, name: str, pause: bool = True) -> bool:
    """Pauses or resumes a schedule; returns whether that changed anything.

    Raises:
        InputError: there is no such schedule.
    """
    schedule = find_schedule(connection, name)
    api = connection.client.recurring_runs
    if schedule.paused == pause:
        return False
    if pause:
        connection.call("pause the schedule", api.recurring_run_service_disable_recurring_run, schedule.schedule_id)
    else:
        connection.call("resume the schedule", api.recurring_run_service_enable_recurring_run, schedule.schedule_id)
    return True


def delete_schedule(connection: Connection, name: str) -> bool:
    """Deletes the schedules of a name, but not their runs; returns whether there was one."""
    to_delete = list(list_schedules(connection, name))
    for schedule in to_delete:
        _delete(connection, schedule)
    return bool(to_delete)


def _make(connection: Connection, wanted: Schedule) -> Schedule:
    body = V2beta1RecurringRun(
        display_name=wanted.name,
        experiment_id=wanted.experiment_id,
        pipeline_version_reference=V2beta1PipelineVersionReference(
            pipeline_id=wanted.pipeline_id, pipeline_version_id=wanted.version_id
        ),
        runtime_config=V2beta1RuntimeConfig(parameters=wanted.parameters, pipeline_root=wanted.pipeline_root or None),
        service_account=wanted.service_account or None,
        trigger=V2beta1Trigger(cron_schedule=V2beta1CronSchedule(cron=wanted.cron)),
        mode=RecurringRunMode.DISABLE if wanted.paused else RecurringRunMode.ENABLE,
        max_concurrency=1,
        no_catchup=True,
    )
    method = connection.client.recurring_runs.recurring_run_service_create_recurring_run
    return _schedule(connection.call("create the schedule", method, body))


def _delete(connection: Connection, schedule: Schedule) -> None:
    method = connection.client.recurring_runs.recurring_run_service_delete_recurring_run
    try:
        connection.call("delete the schedule", method, schedule.schedule_id)
    except ApiError as error:
        if error.status != 404:  # gone, perhaps through the first attempt of this request
            raise


def _schedule(recurring: V2beta1RecurringRun) -> Schedule:
    version = recurring.pipeline_version_reference
    trigger = recurring.trigger and recurring.trigger.cron_schedule
    return Schedule(
        name=recurring.display_name,
        cron=(trigger and trigger.cron) or "",
        experiment_id=recurring.experiment_id,
        pipeline_id=(version and version.pipeline_id) or "",
        version_id=(version and version.pipeline_version_id) or "",
        parameters=dict(run_parameters(recurring)),
        pipeline_root=(recurring.runtime_config and recurring.runtime_config.pipeline_root) or "",
        service_account=recurring.service_account or "",
        paused=recurring.status != "ENABLED",
        schedule_id=recurring.recurring_run_id,
    )
