"""`yt8m report`."""

import json
from pathlib import Path

import click

from models.errors import InputError


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), default="report", show_default=True, help="Folder to write.")
@click.option("--json", "as_json", is_flag=True, help="Print what the tables hold as JSON.")
def report(runs: tuple[Path, ...], out: Path, as_json: bool) -> None:
    """Put RUNS (run folders, or folders of them) beside the thesis' tables 4 to 15, as HTML, Markdown and CSV."""
    from rich.console import Console

    from pipeline.comparison import write_comparison
    from pipeline.comparison.comparison import compare
    from pipeline.comparison.runs import find_runs
    from pipeline.comparison.text import print_comparison

    comparison = compare(find_runs(runs))
    try:
        page = write_comparison(comparison, out)
    except OSError as error:
        raise InputError(f"--out is {str(out)!r}: {error.strerror}, expected a folder") from None
    if as_json:
        click.echo(json.dumps(comparison.as_json(), indent=1))
        return
    print_comparison(comparison, Console())
    click.echo(f"report: {page}")
