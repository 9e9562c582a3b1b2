"""`yt8m status` and `yt8m logs`."""

import json
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.columns import print_columns
from pipeline.cli.options import AS_JSON, with_access

if TYPE_CHECKING:
    from pipeline.kubeflow.api.client import Connection
    from pipeline.kubeflow.api.status import Status

# Scores in the table; --json has all of them.
SHOWN = ("f1", "gap")

# Characters in which the last line of a failed step is found, before those of KFP's launcher.
END_OF_LOG = 1 << 14


@click.command()
@click.argument("run", required=False)
@click.option("--open", "open_", is_flag=True, help="Print the addresses of RUN and its pages in KFP's UI; open it.")
@click.option("--kfp-experiment", "group", help="Only the runs of this KFP experiment.")
@click.option("--last", type=click.IntRange(min=1), default=10, show_default=True, help="Number of runs.")
@AS_JSON
@with_access
def status(
    run: str | None,
    open_: bool,
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
    from pipeline.kubeflow.api.status import read_status, read_statuses

    if open_ and not run:
        raise click.UsageError("--open needs RUN")
    connection = connect(endpoint, token_file, namespace)
    if run and open_:
        _open(connection, run)
        return
    if run:
        status = read_status(connection, run)
        if as_json:
            click.echo(json.dumps(status.as_json(), indent=1))
        else:
            show(status)
        return
    experiment_id = find_kfp_experiment(connection, group) if group else None
    listed_runs = islice(list_runs(connection, experiment_id), last)
    statuses = read_statuses(connection, (listed.run_id for listed in listed_runs))
    if as_json:
        click.echo(json.dumps([status.as_json() for status in statuses], indent=1))
        return
    rows: list[tuple[str, ...]] = [("run", "name", "experiment", "created", "time", "state", *SHOWN)]
    for status in statuses:
        scores = [_score(status.scores.get(name)) for name in SHOWN]
        time = _duration(status.seconds)
        rows.append((status.run_id, status.name, status.experiment, status.created, time, _state(status), *scores))
    print_columns(rows)


@click.command()
@click.argument("run")
@click.argument("step")
@with_access
def logs(run: str, step: str, endpoint: str | None, token_file: Path | None, namespace: str | None) -> None:
    """Print the log of a STEP (Trainer, Evaluator, ...) of RUN (an id), of its last attempt."""
    from pipeline.kubeflow.api.client import connect
    from pipeline.kubeflow.api.logs import last_lines, stream_log
    from pipeline.kubeflow.api.workflow import read_workflow

    connection = connect(endpoint, token_file, namespace)
    workflow = read_workflow(connection, run)
    shown = workflow.step(step)
    end = ""
    for piece in stream_log(connection, workflow, shown):
        click.echo(piece, nl=False)
        end = (end + piece)[-END_OF_LOG:]
    if shown.state == "FAILED":  # lines of KFP's launcher follow the reason
        reason = "; ".join([shown.message or "no reason given", *last_lines(end, 1)])
        click.echo(f"{step} failed: {reason}", err=True)


def show(status: "Status") -> None:
    """Prints a run: its steps, why one failed, scores and link."""
    click.echo(f"{status.name}: {_state(status)} ({_duration(status.seconds) or 'not ended'})")
    rows = [("step", "state", "started", "time", "attempts")]
    for step in status.steps:
        attempts = "cached" if step.cached else str(step.attempts)
        rows.append((step.name, step.state, step.started, _duration(step.seconds), attempts))
    print_columns(rows)
    if status.no_steps:
        click.echo(f"no steps: {status.no_steps}")
    for step in status.steps:
        if step.waiting:
            click.echo(f"{step.name} waits: {step.message}")
    failed = [step for step in status.steps if step.state == "FAILED"]
    for step in failed:
        click.echo(f"{step.name} failed: {step.message or 'no reason given'}")
        for line in step.log:
            click.echo(f"    {line}")
    if not failed and status.error and not status.workflow_gone:
        click.echo(status.error)
    if status.scores:
        scores = "  ".join(f"{name} {_score(value)}" for name, value in status.scores.items())
        click.echo(f"{scores}  (from the {status.scores_source})")
    elif status.scores_source:
        click.echo(f"no scores: {status.scores_source}")
    if status.link:
        click.echo(f"link: {status.link}")


def _open(connection: "Connection", run_id: str) -> None:
    """Prints the addresses of a run and of its steps' pages in the UI, and opens the run's in a browser, if any."""
    import webbrowser

    from pipeline.kubeflow.api.client import UI_ENDPOINT
    from pipeline.kubeflow.api.logs import object_link
    from pipeline.kubeflow.api.workflow import read_workflow
    from pipeline.kubeflow.outputs import PAGE, shown_outputs
    from pipeline.steps import Step

    if not (link := connection.link(run_id)):
        raise click.UsageError(f"--open needs the address of KFP's UI: as --endpoint, or in {UI_ENDPOINT}")
    workflow = read_workflow(connection, run_id)
    rows = [("run", link)]
    for step in workflow.steps:
        if step.state == "SUCCEEDED" and step.folder and step.name in set(Step) and PAGE in shown_outputs(step.name):
            rows.append((step.name, object_link(connection, workflow, f"{step.folder}/{PAGE}")))
    print_columns(rows)
    webbrowser.open(link)


def _state(status: "Status") -> str:
    return f"{status.state}, {status.error}" if status.workflow_gone else status.state


def _score(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
