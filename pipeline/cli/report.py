"""`yt8m report`."""

import json
from pathlib import Path
from typing import Any

import click

from models.errors import InputError
from pipeline.cli.options import out_folder, with_access
from pipeline.files.out_folder import writing_folder


@click.command()
@click.argument("runs", nargs=-1, type=click.Path(path_type=Path))
@click.option("--kfp-experiment", "group", help="Also the runs of this KFP experiment.")
@out_folder("report")
@click.option("--json", "as_json", is_flag=True, help="Print the tables as JSON.")
@with_access
def report(runs: tuple[Path, ...], group: str | None, out: Path, as_json: bool, **access: Any) -> None:
    """Compare RUNS (run folders, or folders of them) with the thesis' tables 4 to 15, as HTML, Markdown and CSV."""
    from rich.console import Console

    from pipeline.reports.thesis import write_comparison
    from pipeline.reports.thesis.comparison import compare
    from pipeline.reports.thesis.runs import Runs, find_runs
    from pipeline.reports.thesis.text import print_comparison

    if not runs and group is None:
        raise click.UsageError("Missing argument 'RUNS...' or option '--kfp-experiment'.")
    compared = find_runs(runs) if runs else Runs()
    if group is not None:
        from pipeline.kubeflow.api.client import connect
        from pipeline.reports.thesis.kubeflow_runs import find_kubeflow_runs

        remote = find_kubeflow_runs(connect(**access), group)
        compared = Runs(compared.finished + remote.finished, compared.left_out | remote.left_out)
        if not compared.finished:
            raise InputError(f"--kfp-experiment is {group!r}: no run of it has finished and still has its log")
    comparison = compare(compared)
    with writing_folder(out):
        page = write_comparison(comparison, out)
    if as_json:
        click.echo(json.dumps(comparison.as_json(), indent=1))
        return
    print_comparison(comparison, Console())
    click.echo(f"report: {page}")
