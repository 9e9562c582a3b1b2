"""`yt8m stats`."""

import sys
from pathlib import Path

import click

from components.example_gen.splits import SplitPolicy
from models.settings import MAX_SEED
from pipeline.cli.options import absolute
from pipeline.cli.quiet import failures_to, stderr_to
from pipeline.files.out_folder import make_folder


@click.command()
@click.option("--data", required=True, help="Folder, glob or {SPAN} pattern of raw shards; local, gs:// or s3://.")
@click.option("--test-data", help="Pattern of shards that all go to the test split.")
@click.option("--split", help="file:80/10/10 (default), id:80/10/10, thesis-video or thesis-frame.")
@click.option("--seed", type=click.IntRange(0, MAX_SEED), default=0, show_default=True, help="Of the split by file.")
@click.option("--vocabulary", help="CSV with Index and Name (default: vocabulary.csv beside the shards).")
@click.option(
    "--out", type=click.Path(path_type=Path), default="statistics", show_default=True, help="Folder to write."
)
@click.option("--json", "as_json", is_flag=True, help="Print what statistics.json holds.")
def stats(
    data: str,
    test_data: str | None,
    split: str | None,
    seed: int,
    vocabulary: str | None,
    out: Path,
    as_json: bool,
) -> None:
    """Count videos, labels, frames and features of raw shards in the splits that a run would make.

    Writes statistics.json, a page (statistics.html) and a figure of each split's label frequencies.
    """
    split = split or ("file:90/10" if test_data else "file:80/10/10")
    SplitPolicy.parse(split, bool(test_data))  # refused before seconds of imports
    settings = {
        "pattern": absolute(data),
        "test_data": absolute(test_data) or "",
        "split": split,
        "vocabulary": absolute(vocabulary) or "",
    }
    make_folder(out)
    log = out / "stats.log"
    with stderr_to(log), failures_to(log):
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

        from pipeline.data.statistics import measure, print_statistics
        from pipeline.settings import DataSettings

        # Drawn when a shard is done: a thread that draws could hold a lock when processes are forked.
        columns = (BarColumn(), DownloadColumn(), TimeRemainingColumn())
        hidden = as_json or not sys.stdout.isatty()
        with Progress(*columns, auto_refresh=False, transient=True, disable=hidden) as progress:
            task = progress.add_task("shards", total=None)

            def show(done: int, total: int) -> None:
                progress.update(task, completed=done, total=total, refresh=True)

            statistics = measure(DataSettings.model_validate(settings), seed, out, show)
    log.unlink(missing_ok=True)  # nothing but what TensorFlow says when it starts
    if as_json:
        click.echo(statistics.model_dump_json(indent=1))
        return
    print_statistics(statistics, Console())
    click.echo(f"page: {out / 'statistics.html'}")
