"""`yt8m download`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from models.errors import plural
from pipeline.cli.options import LEVEL


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@LEVEL
@click.option(
    "--part",
    "parts",
    type=click.Choice(["train", "validate", "test"]),
    multiple=True,
    required=True,
    help="Repeatable; the labels of test were never published.",
)
@click.option("--shard", default="1/1", show_default=True, metavar="X/Y", help="Share X of Y of each part's files.")
@click.option("--mirror", type=click.Choice(["us", "eu", "asia"]), help="Server to download from (default us).")
@click.option(
    "--version",
    type=click.Choice(["2", "3"]),
    default="2",
    show_default=True,
    help="2: all videos (2018); 3: validate and test with rated segments, frame level (2019).",
)
@click.option("--workers", type=click.IntRange(1, 64), default=8, show_default=True, help="Parallel connections.")
@click.option("--base-url", metavar="URL", help="A private mirror with the same paths, instead of --mirror.")
@click.option("--json", "as_json", is_flag=True, help="Print a summary as JSON.")
def download(
    out: Path,
    level: Any,
    parts: tuple[Any, ...],
    shard: str,
    mirror: Any,
    version: Any,
    workers: int,
    base_url: str | None,
    as_json: bool,
) -> None:
    """Download YouTube-8M, or a share of it, and its vocabulary to OUT.

    Every file is checked against its published MD5. Running the command again resumes the download: complete files are
    not fetched again. The data are Google's, licensed CC BY 4.0.
    """
    from pipeline.data.download.client import DownloadError, RetryPolicy
    from pipeline.data.download.download import download as download_files
    from pipeline.data.download.progress import ConsoleListener
    from pipeline.data.download.published import Addresses, Partition, Share

    if mirror and base_url:
        raise click.UsageError("expected either --mirror or --base-url")
    partitions = [Partition(version, level, part) for part in dict.fromkeys(parts)]
    share = Share.parse(shard)
    addresses = Addresses.of_base_url(base_url) if base_url else Addresses.of_mirror(mirror or "us")
    try:
        with ConsoleListener() as listener:
            summary = download_files(partitions, out, share, addresses, workers, RetryPolicy(), listener)
    except DownloadError as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        click.echo(json.dumps({"out": str(out), "dataset": f"{version}/{level}", **asdict(summary)}, indent=1))
    else:
        click.echo(
            f"{plural(summary.files, 'file')} in {out}: "
            f"{len(summary.downloaded)} downloaded, {summary.present} present, {len(summary.failed)} failed; "
            f"{summary.bytes / 1e6:,.1f} MB in {summary.seconds:,.0f} s"
        )
        for name, reason in summary.failed.items():
            click.echo(f"failed: {name}: {reason}")
    if summary.failed:
        elsewhere = "" if base_url else ", --mirror NAME tries another server"
        raise click.ClickException(
            f"{len(summary.failed)} of {plural(summary.files, 'file')} failed; repeat the command to retry{elsewhere}"
        )
