"""Schedules: KFP's recurring runs, one of each name."""

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
from pipeline.kubeflow.api.client import ApiError, Connection
from pipeline.kubeflow.api.submit import named_filter, parameters_of


@dataclass(frozen=True)
class Schedule:
    """A recurring run: what runs when, and as which account of Kubernetes, empty for the one that KFP is set up with.

    `schedule_id` is empty until the API has given it one.
    """

    name: str
    cron: str
    experiment_id: str
    pipeline_id: str
    version_id: str
    parameters: dict[str, Any]
    service_account: str = ""
    paused: bool = False
    schedule_id: str = ""

    def as_json(self) -> dict[str, Any]:
        """All fields."""
        return asdict(self)

    def does(self, wanted: "Schedule") -> bool:
        """Whether it runs the same at the same times, when it is not paused."""
        # The API names the account that it has chosen, too.
        account = self.service_account if wanted.service_account else ""
        own = replace(self, paused=wanted.paused, schedule_id=wanted.schedule_id, service_account=account)
        return own == wanted


def cron_of(text: str) -> str:
    """KFP's cron: seconds, minutes, hours, day of the month, month, day of the week.

    Args:
        text: that, or the usual five fields without seconds.

    Raises:
        InputError: it has neither five nor six fields. What stands in them is for the API to judge.
    """
    fields = text.split()
    if len(fields) not in (5, 6):
        raise InputError(f"--cron is {text!r}, expected 5 fields, or 6 with seconds first, say '0 3 * * 1'")
    return " ".join(fields if len(fields) == 6 else ["0", *fields])


def schedules(connection: Connection, name: str | None = None) -> Iterator[Schedule]:
    """All schedules, or those of a name, the oldest first."""
    only = {"filter": named_filter(name)} if name else {}
    method = connection.client.recurring_runs.recurring_run_service_list_recurring_runs
    found = connection.every(
        "list schedules",
        method,
        "recurring_runs",
        sort_by="created_at",
        namespace=connection.namespace,
        **only,
    )
    # The server's database may not tell upper from lower case.
    return (_schedule(one) for one in found if name in (None, one.display_name))


def find_schedule(connection: Connection, name: str) -> Schedule:
    """The schedule of a name.

    Raises:
        InputError: there is none.
    """
    for schedule in schedules(connection, name):
        return schedule
    known = ", ".join(schedule.name for schedule in schedules(connection)) or "there is none"
    raise InputError(f"NAME is {name!r}, allowed: {known}")


def create_schedule(connection: Connection, wanted: Schedule) -> tuple[Schedule, bool]:
    """Makes a schedule, unless it is there. One run at a time; times that were missed are not made up for.

    Returns:
        The schedule, and whether it is new.

    Raises:
        InputError: one of that name is there, and not the same.
        ApiError: the API refuses it, or cannot be reached.
    """
    schedule, new = connection.create(
        lambda: next(schedules(connection, wanted.name), None), lambda: _make(connection, wanted)
    )
    if not schedule.does(wanted):
        raise InputError(
            f"schedule {wanted.name} is there with another cron, package or parameters (cron {schedule.cron}): "
            "`yt8m schedule replace` replaces it"
        )
    return schedule, new


def replace_schedule(connection: Connection, wanted: Schedule) -> tuple[Schedule, bool]:
    """Puts a schedule in the place of those of its name, because KFP cannot change one.

    The new one is made first, paused if the old one was: a broken connection leaves one too many, which saying it again
    deletes, never none.

    Returns:
        The schedule, and whether anything changed.

    Raises:
        ApiError: the API refuses it, or cannot be reached.
    """
    paused = any(schedule.paused for schedule in schedules(connection, wanted.name))
    schedule, new = connection.create(
        lambda: next((found for found in schedules(connection, wanted.name) if found.does(wanted)), None),
        lambda: _make(connection, replace(wanted, paused=paused)),
    )
    others = [other for other in schedules(connection, wanted.name) if other.schedule_id != schedule.schedule_id]
    for other in others:
        _delete(connection, other)
    return schedule, new or bool(others)


def pause_schedule(connection: Connection, name: str, pause: bool = True) -> bool:
    """Keeps a schedule from starting runs, or lets it again; whether that changed anything.

    Raises:
        InputError: there is no such schedule.
    """
    schedule = find_schedule(connection, name)
    api = connection.client.recurring_runs
    if schedule.paused == pause:
        return False
    if pause:
        connection.ask("pause it", api.recurring_run_service_disable_recurring_run, schedule.schedule_id)
    else:
        connection.ask("resume it", api.recurring_run_service_enable_recurring_run, schedule.schedule_id)
    return True


def delete_schedule(connection: Connection, name: str) -> bool:
    """Deletes the schedules of a name, not their runs; whether there was one."""
    found = list(schedules(connection, name))
    for schedule in found:
        _delete(connection, schedule)
    return bool(found)


def _make(connection: Connection, wanted: Schedule) -> Schedule:
    body = V2beta1RecurringRun(
        display_name=wanted.name,
        experiment_id=wanted.experiment_id,
        pipeline_version_reference=V2beta1PipelineVersionReference(
            pipeline_id=wanted.pipeline_id, pipeline_version_id=wanted.version_id
        ),
        runtime_config=V2beta1RuntimeConfig(parameters=wanted.parameters),
        service_account=wanted.service_account or None,
        trigger=V2beta1Trigger(cron_schedule=V2beta1CronSchedule(cron=wanted.cron)),
        mode=RecurringRunMode.DISABLE if wanted.paused else RecurringRunMode.ENABLE,
        max_concurrency=1,
        no_catchup=True,
    )
    method = connection.client.recurring_runs.recurring_run_service_create_recurring_run
    return _schedule(connection.ask("create the schedule", method, body))


def _delete(connection: Connection, schedule: Schedule) -> None:
    method = connection.client.recurring_runs.recurring_run_service_delete_recurring_run
    try:
        connection.ask("delete the schedule", method, schedule.schedule_id)
    except ApiError as error:
        if error.status != 404:  # gone already, perhaps by this request's first try
            raise


def _schedule(found: V2beta1RecurringRun) -> Schedule:
    version = found.pipeline_version_reference
    trigger = found.trigger and found.trigger.cron_schedule
    return Schedule(
        name=found.display_name,
        cron=(trigger and trigger.cron) or "",
        experiment_id=found.experiment_id,
        pipeline_id=(version and version.pipeline_id) or "",
        version_id=(version and version.pipeline_version_id) or "",
        parameters=dict(parameters_of(found)),
        service_account=found.service_account or "",
        paused=found.status != "ENABLED",
        schedule_id=found.recurring_run_id,
    )
