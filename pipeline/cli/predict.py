"""`yt8m predict`."""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from models.errors import InputError
from pipeline.cli.options import DATA
from pipeline.cli.quiet import stderr_to
from pipeline.files.disk import writing

SKIPPED = 3

# Bad records shown; the others are counted.
SHOWN = 10


@click.command()
@click.argument("model")
@DATA
@click.option("--out", type=click.Path(path_type=Path), help="File to write (default: standard output).")
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "jsonl"]),
    default="csv",
    show_default=True,
    help="csv: that of the YouTube-8M challenges, label ids; jsonl: with the labels' names.",
)
@click.option("--top", type=click.IntRange(1, 20), default=20, show_default=True, help="Labels a video.")
@click.option("--evaluate", is_flag=True, help="Score the model on the records that carry labels.")
@click.option("--batch", type=click.IntRange(min=1), default=64, show_default=True, help="Videos asked for at once.")
@click.option("--json", "as_json", is_flag=True, help="With --out: print what was done, and the scores, as JSON.")
def predict(
    model: str, data: str, out: Path | None, form: str, top: int, evaluate: bool, batch: int, as_json: bool
) -> None:
    """Label raw records with MODEL: a run's folder, its serving/ or a version in that.

    MODEL is loaded as TensorFlow loads it, and can run whatever code its author put into it: use models that you trust.

    Records need no labels. Answers come in the order of the files' names and of the records in them, best label first.
    A record that cannot be used is named on standard error and left out (with --evaluate also one with labels that the
    model doesn't know); the exit code is then 3.
    """
    if as_json and out is None:
        raise click.UsageError("--json needs --out: standard output holds the answers")
    with stderr_to(Path(os.devnull)):  # TensorFlow talks when it starts
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

        from components.example_gen.ingest import RejectedRecord
        from components.example_gen.input_files import detect_level, find_files
        from models.metrics.bootstrap import REPLICATES
        from models.metrics.video_metrics import VideoMetrics
        from pipeline.files.output_file import open_output
        from pipeline.prediction.output import CSV_HEADER, csv_line, json_line
        from pipeline.prediction.prediction import Prediction
        from pipeline.prediction.pushed_model import PushedModel
        from pipeline.prediction.scores import Scores

        files = find_files(data)
        level = detect_level(files)
        asked = PushedModel(model, level)
    if evaluate and not asked.all_probabilities:
        raise InputError(f"--evaluate: {asked.folder} knows only the 20 best labels of video-level records")
    metrics = VideoMetrics(len(asked.names), REPLICATES) if evaluate else None
    console = Console(stderr=True)
    shown: list[str] = []
    columns = BarColumn(), DownloadColumn(), TextColumn("{task.fields[videos]:,} videos"), TimeRemainingColumn()
    # On a terminal that gets the answers a bar would be among them.
    hidden = not console.is_terminal or (out is None and sys.stdout.isatty())
    try:
        with (
            writing(out),
            open_output(out) as file,
            Progress(*columns, console=console, disable=hidden, transient=True) as progress,
        ):
            task = progress.add_task("", total=files.size, videos=0)

            def refuse(refused: RejectedRecord) -> None:
                if len(shown) < SHOWN:
                    shown.append(str(refused))
                    progress.console.print(f"skipped: {refused}", markup=False, highlight=False, soft_wrap=True)

            def advance(done: int) -> None:
                progress.update(task, completed=done, videos=prediction.videos)

            prediction = Prediction(asked, files, level, batch, top, metrics, refuse, advance)
            file.write(CSV_HEADER if form == "csv" else "")
            for answer in prediction.answers():
                file.write(csv_line(answer) if form == "csv" else json_line(answer, asked.names))
    except BrokenPipeError:  # `| head` has seen enough
        sys.exit(1)

    done: dict[str, Any] = {"model": asked.folder, "videos": prediction.videos, "skipped": prediction.skipped}
    if prediction.skipped:
        click.echo("{skipped:,} records skipped, {videos:,} videos answered".format(**done), err=True)
    if metrics:
        if not metrics.videos:
            raise InputError(f"--evaluate: none of {prediction.videos:,} videos carries labels")
        scores = Scores.of(metrics, prediction.without_labels, asked.card.get("threshold"))
        done |= asdict(scores)
        if not as_json:
            scores.print(console)
    if as_json:
        click.echo(json.dumps(done | {"first_skipped": shown}, indent=1))
    if prediction.skipped:
        sys.exit(SKIPPED)
