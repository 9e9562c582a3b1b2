"""`yt8m schedule`."""

import json
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.columns import print_columns
from pipeline.cli.options import AS_JSON, GROUP, SERVICE_ACCOUNT, Command, with_access, with_options
from pipeline.cli.package_options import PACKAGE, package_from_options, with_package_options

if TYPE_CHECKING:
    from pipeline.kubeflow.api.client import Connection


@click.group()
def schedule() -> None:
    """Run the pipeline on Kubeflow Pipelines on a schedule, each time on the newest {SPAN}.

    Every command is idempotent.
    """


def _with_what_to_run(command: Command) -> Command:
    name = click.argument("name")
    cron = click.option(
        "--cron", required=True, help="5 fields, or 6 with seconds first; UTC unless KFP is configured otherwise."
    )
    return with_options(command, name, cron, with_package_options, PACKAGE, GROUP, SERVICE_ACCOUNT, with_access)


@schedule.command()
@_with_what_to_run
def create(**options: Any) -> None:
    """Create the schedule NAME: one run at a time, and missed times are skipped."""
    _put(options, replace=False)


@schedule.command()
@_with_what_to_run
def replace(**options: Any) -> None:
    """Replace the schedule NAME; a paused schedule stays paused."""
    _put(options, replace=True)


@schedule.command("list")
@AS_JSON
@with_access
def list_(as_json: bool, **access: Any) -> None:
    """List the schedules."""
    from pipeline.kubeflow.api.schedule import list_schedules

    listed = list(list_schedules(_connect(access)))
    if as_json:
        click.echo(json.dumps([schedule.as_json() for schedule in listed], indent=1))
        return
    rows = [("name", "cron", "state", "experiment", "data")]
    for schedule in listed:
        experiment, data = (str(schedule.parameters.get(key, "")) for key in ("experiment", "data"))
        state = "paused" if schedule.paused else "on"
        rows.append((schedule.name, schedule.cron, state, experiment.partition(":")[0], data))
    print_columns(rows)


@schedule.command()
@click.argument("name")
@with_access
def pause(name: str, **access: Any) -> None:
    """Pause NAME: it starts no runs until `resume`."""
    from pipeline.kubeflow.api.schedule import pause_schedule

    click.echo(f"{name}: {'paused' if pause_schedule(_connect(access), name) else 'already paused'}")


@schedule.command()
@click.argument("name")
@with_access
def resume(name: str, **access: Any) -> None:
    """Resume NAME: it starts runs again."""
    from pipeline.kubeflow.api.schedule import pause_schedule

    resumed = pause_schedule(_connect(access), name, pause=False)
    click.echo(f"{name}: {'resumed' if resumed else 'already on'}")


@schedule.command()
@click.argument("name")
@with_access
def delete(name: str, **access: Any) -> None:
    """Delete NAME and keep its runs."""
    from pipeline.kubeflow.api.schedule import delete_schedule

    click.echo(f"{name}: {'deleted' if delete_schedule(_connect(access), name) else 'no such schedule'}")


def _put(options: dict[str, Any], replace: bool) -> None:
    from pipeline.kubeflow.api.kfp_experiments import find_or_create_kfp_experiment
    from pipeline.kubeflow.api.schedule import Schedule, create_schedule, parse_cron, replace_schedule
    from pipeline.kubeflow.api.versions import upload_package

    cron = parse_cron(options["cron"])
    package = package_from_options(options)
    connection = _connect(options)
    connection.warn_if_outdated(lambda line: click.echo(line, err=True))
    version, _ = upload_package(connection, package)
    schedule = Schedule(
        name=options["name"],
        cron=cron,
        experiment_id=find_or_create_kfp_experiment(connection, options["group"]),
        pipeline_id=version.pipeline_id,
        version_id=version.pipeline_version_id,
        parameters=dict(package.parameters),
        pipeline_root=package.pipeline_root,
        service_account=options["service_account"],
    )
    schedule, changed = (replace_schedule if replace else create_schedule)(connection, schedule)
    paused, unchanged = ", paused" if schedule.paused else "", "" if changed else " (unchanged)"
    click.echo(f"{schedule.name}: {schedule.cron}{paused}{unchanged}")


def _connect(options: dict[str, Any]) -> "Connection":
    from pipeline.kubeflow.api.client import connect

    return connect(options["endpoint"], options["token_file"], options["namespace"])
