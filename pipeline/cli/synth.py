"""`yt8m synth`."""

import os
import sys
from pathlib import Path
from typing import Any

import click

from models.errors import plural
from pipeline.cli.options import LEVEL
from pipeline.cli.quiet import stderr_to


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@LEVEL
@click.option("--videos", type=click.IntRange(min=1), required=True, help="Number of videos.")
@click.option("--labels", type=click.IntRange(min=1), required=True, help="Size of the vocabulary.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the videos; the labels stay the same.")
@click.option("--segments", is_flag=True, help="Write ratings of five-second segments, in which labels come and go.")
def synth(out: Path, level: Any, videos: int, labels: int, seed: int, segments: bool) -> None:
    """Write a learnable synthetic data set to OUT, in the wire format of YouTube-8M.

    Running the command again after it was killed starts over; a finished data set is left as it is.
    """
    with stderr_to(Path(os.devnull)):
        from rich.progress import Progress

        from pipeline.data.synthetic_data import write_dataset

        try:
            with Progress(disable=not sys.stdout.isatty()) as progress:
                task = progress.add_task("videos", total=videos)
                new = write_dataset(
                    out,
                    level,
                    videos,
                    labels,
                    seed,
                    progress=lambda done: progress.update(task, completed=done),
                    segments=segments,
                )
        except OSError as error:
            raise click.ClickException(f"{out}: {error.strerror or error}") from None
    rated = " and rated segments" if segments else ""
    there = "" if new else " (unchanged)"
    click.echo(
        f"{plural(videos, f'synthetic {level}-level video')} with {plural(labels, 'label')}{rated} in {out}{there}"
    )
