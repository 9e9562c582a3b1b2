"""The runs whose artifacts are still needed, for `yt8m gc`."""

from collections.abc import Collection

from pipeline.kubeflow.api.client import Connection
from pipeline.kubeflow.api.runs import CANCELING, is_under_way, list_runs
from pipeline.kubeflow.api.schedule import list_schedules


def find_needed_runs(connection: Connection, known: Collection[str]) -> dict[str, str]:
    """Which runs are under way, and which is the last of each schedule: its next run finds their artifacts cached.

    Args:
        connection: connection to the API.
        known: ids of the runs that matter.

    Returns:
        Why a run is needed, by its id.

    Raises:
        ApiError: the API rejects a request, or cannot be reached.
    """
    schedules = {schedule.schedule_id: schedule.name for schedule in list_schedules(connection)}
    needed = {}
    for run in list_runs(connection, None):
        if run.run_id not in known:
            continue
        # The pods of a run that is being cancelled still read.
        if run.state == CANCELING or is_under_way(connection, run):
            needed[run.run_id] = f"run {run.run_id} is under way"
        elif name := schedules.pop(run.recurring_run_id, None):  # latest first
            needed[run.run_id] = f"run {run.run_id} is the last of schedule {name}"
    return needed
