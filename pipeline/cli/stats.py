"""`yt8m stats`."""

import sys
from pathlib import Path

import click

from models.errors import InputError
from models.settings import MAX_SEED
from pipeline.cli.options import DATA, data_settings, out_folder, set_option, with_split
from pipeline.cli.quiet import failures_to, stderr_to
from pipeline.files.out_folder import make_folder


@click.command()
@DATA
@with_split
@click.option(
    "--seed", type=click.IntRange(0, MAX_SEED), default=0, show_default=True, help="Seed of the split by file."
)
@out_folder("statistics")
@set_option("A setting of Beam, for example beam.runner=PortableRunner, to count on an engine; repeatable.")
@click.option("--json", "as_json", is_flag=True, help="Print the content of statistics.json.")
def stats(
    data: str,
    validation_data: str | None,
    test_data: str | None,
    split: str | None,
    seed: int,
    vocabulary: str | None,
    out: Path,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Count videos, labels, frames and features of raw shards, for each split that a run would make.

    Writes statistics.json, a page (statistics.html) and figures of the label frequencies in each split.
    """
    from pipeline.settings import resolve_beam, resolve_data

    beam = resolve_beam(overrides)
    if overrides and not beam.on_engine:
        raise InputError("--set without an engine has no effect, allowed: beam.runner=PortableRunner with beam.options")
    settings = resolve_data(data_settings(data, validation_data, test_data, split, vocabulary))
    make_folder(out)
    log = out / "stats.log"
    with stderr_to(log), failures_to(log):
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

        from components.progress import show_progress
        from pipeline.data.statistics import measure, print_statistics

        if beam.on_engine and not as_json:
            show_progress("")
        # Drawn after each shard: a drawing thread could hold a lock when processes are forked.
        columns = (BarColumn(), DownloadColumn(), TimeRemainingColumn())
        hidden = as_json or not sys.stdout.isatty()
        with Progress(*columns, auto_refresh=False, transient=True, disable=hidden) as progress:
            task = progress.add_task("shards", total=None)

            def show(bytes_read: int, total: int) -> None:
                progress.update(task, completed=bytes_read, total=total, refresh=True)

            statistics = measure(settings, seed, out, show, beam)
    log.unlink(missing_ok=True)  # holds only what TensorFlow logs when it starts
    if as_json:
        click.echo(statistics.model_dump_json(indent=1))
        return
    print_statistics(statistics, Console())
    click.echo(f"page: {out / 'statistics.html'}")
