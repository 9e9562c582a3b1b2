"""`yt8m submit`."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from pipeline.cli.options import AS_JSON, GROUP, SERVICE_ACCOUNT, with_access
from pipeline.cli.package_options import PACKAGE, package_from_options, with_package_options
from pipeline.cli.quiet import stderr_to


@click.command()
@with_package_options
@PACKAGE
@click.option("--name", help="Name of the run in the UI (default: the experiment and the time).")
@GROUP
@SERVICE_ACCOUNT
@click.option(
    "--no-cache",
    is_flag=True,
    help="Run every step, as another version of the package: take none from KFP's cache.",
)
@click.option(
    "--if-new-data", is_flag=True, help="Start a run only if none was trained on the newest {SPAN} of the data."
)
@click.option("--wait", is_flag=True, help="Wait until the run ends; exit code 1 if it fails.")
@click.option(
    "--interval", type=click.FloatRange(min=0), default=10.0, help="Seconds between status requests, with --wait."
)
@AS_JSON
@with_access
def submit(
    name: str | None,
    group: str,
    service_account: str,
    no_cache: bool,
    if_new_data: bool,
    wait: bool,
    interval: float,
    as_json: bool,
    endpoint: str | None,
    token_file: Path | None,
    namespace: str | None,
    **options: Any,
) -> None:
    """Run the pipeline on Kubeflow Pipelines.

    The package is uploaded as a version of the pipeline, unless an identical version exists. While a run with the same
    parameters is under way, the command starts no other and reports that one.
    """
    from pipeline.cli.status import show
    from pipeline.kubeflow.api.client import connect
    from pipeline.kubeflow.api.kfp_experiments import find_or_create_kfp_experiment
    from pipeline.kubeflow.api.new_data import describe_new_data, find_newest_span
    from pipeline.kubeflow.api.runs import start_run
    from pipeline.kubeflow.api.status import follow, read_status
    from pipeline.kubeflow.api.versions import upload_package

    package = package_from_options(options)
    if no_cache:
        package = package.without_cache()
    newest = None
    if if_new_data:
        with stderr_to(Path("/dev/null")):  # TensorFlow logs when it starts
            newest = find_newest_span(package.parameters)
    connection = connect(endpoint, token_file, namespace)
    connection.warn_if_outdated(lambda line: click.echo(line, err=True))
    experiment_id = find_or_create_kfp_experiment(connection, group)
    description = ""
    if newest is not None:
        new_data = describe_new_data(connection, experiment_id, package.parameters, newest)
        if new_data is None:
            click.echo("null" if as_json else f"no new data: {package.parameters['data']}")
            return
        description = new_data
    version, uploaded = upload_package(connection, package)
    title = name or f"{package.experiment} {datetime.now(UTC):%Y-%m-%d %H:%M:%S}"
    run, started = start_run(connection, version, experiment_id, title, package, description, service_account)
    if not as_json:
        if description:
            click.echo(f"new data: {description}")
        click.echo(f"version: {package.version}{'' if uploaded else ' (already uploaded)'}")
        click.echo(f"run: {run.run_id}{'' if started else ' (already under way)'}")
        if link := connection.link(run.run_id):
            click.echo(f"link: {link}")
    if wait:
        status = follow(connection, run.run_id, lambda line: click.echo(line, err=as_json), interval)
        if not as_json:
            show(status)
    elif as_json:
        status = read_status(connection, run.run_id)
    if as_json:
        summary = {"version": package.version, "uploaded": uploaded, "started": started}
        click.echo(json.dumps(summary | status.as_json(), indent=1))
    if wait and status.state != "SUCCEEDED":
        raise click.ClickException(
            f"run {status.run_id} is {status.state}{f': {status.error}' if status.error else ''}"
        )
