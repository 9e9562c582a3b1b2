"""`yt8m status` and `yt8m logs`."""

import json
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.columns import print_columns
from pipeline.cli.options import AS_JSON, with_access

if TYPE_CHECKING:
    from pipeline.kubeflow.api.status import Status

# Scores in the table; --json has all of them.
SHOWN = ("f1", "gap")


@click.command()
@click.argument("run", required=False)
@click.option("--kfp-experiment", "group", help="Only the runs of this KFP experiment.")
@click.option("--last", type=click.IntRange(min=1), default=10, show_default=True, help="Number of runs.")
@AS_JSON
@with_access
def status(
    run: str | None,
    group: str | None,
    last: int,
    as_json: bool,
    endpoint: str | None,
    token_file: Path | None,
    namespace: str | None,
) -> None:
    """Show the last runs on Kubeflow Pipelines, or the steps of RUN (an id), with scores. Times are UTC."""
    from pipeline.kubeflow.api.client import connect
    from pipeline.kubeflow.api.kfp_experiments import find_kfp_experiment
    from pipeline.kubeflow.api.runs import list_runs
    from pipeline.kubeflow.api.status import read_status

    connection = connect(endpoint, token_file, namespace)
    if run:
        status = read_status(connection, run)
        if as_json:
            click.echo(json.dumps(status.as_json(), indent=1))
        else:
            show(status)
        return
    experiment_id = find_kfp_experiment(connection, group) if group else None
    listed_runs = islice(list_runs(connection, experiment_id), last)
    statuses = [read_status(connection, listed.run_id) for listed in listed_runs]
    if as_json:
        click.echo(json.dumps([status.as_json() for status in statuses], indent=1))
        return
    rows: list[tuple[str, ...]] = [("run", "name", "experiment", "created", "time", "state", *SHOWN)]
    for status in statuses:
        scores = [_score(status.scores.get(name)) for name in SHOWN]
        time = _duration(status.seconds)
        rows.append((status.run_id, status.name, status.experiment, status.created, time, status.state, *scores))
    print_columns(rows)


@click.command()
@click.argument("run")
@click.argument("step")
@with_access
def logs(run: str, step: str, endpoint: str | None, token_file: Path | None, namespace: str | None) -> None:
    """Print the log of a STEP (Trainer, Evaluator, ...) of RUN (an id), of its last attempt."""
    from pipeline.kubeflow.api.client import connect
    from pipeline.kubeflow.api.status import read_log, read_status

    connection = connect(endpoint, token_file, namespace)
    click.echo(read_log(connection, run, read_status(connection, run).step(step)), nl=False)


def show(status: "Status") -> None:
    """Prints a run: its steps, scores and link."""
    click.echo(f"{status.name}: {status.state} ({_duration(status.seconds) or 'not ended'})")
    if status.error:
        click.echo(status.error)
    rows = [("step", "state", "started", "time", "attempts")]
    for step in status.steps:
        rows.append((step.name, step.state, step.started, _duration(step.seconds), str(step.attempts)))
    print_columns(rows)
    if status.scores:
        click.echo("  ".join(f"{name} {_score(value)}" for name, value in status.scores.items()))
    if status.link:
        click.echo(f"link: {status.link}")


def _score(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
