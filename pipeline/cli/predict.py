"""`yt8m predict`."""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from models.errors import InputError, plural
from pipeline.cli.options import DATA
from pipeline.cli.quiet import stderr_to
from pipeline.files.disk import writing

SKIPPED = 3

# Rejected records to print; the others are only counted.
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
    help="csv: the format of the YouTube-8M challenges, with label ids; jsonl: with label names.",
)
@click.option("--top", type=click.IntRange(1, 20), default=20, show_default=True, help="Labels for each video.")
@click.option("--evaluate", is_flag=True, help="Score the model on the records with labels.")
@click.option("--batch", type=click.IntRange(min=1), default=64, show_default=True, help="Videos in a batch.")
@click.option("--json", "as_json", is_flag=True, help="With --out: print a summary and the scores as JSON.")
def predict(
    model: str, data: str, out: Path | None, form: str, top: int, evaluate: bool, batch: int, as_json: bool
) -> None:
    """Predict labels for raw records with MODEL: a run folder, its serving/ or a version in there.

    Loading MODEL can run code that its author put into it: use only models that you trust.

    Records need no labels. Predictions come in the order of the file names and of the records in each file, best label
    first. A record that cannot be used is reported on standard error and left out; with --evaluate, so is a record with
    labels that the model does not know. The exit code is then 3.
    """
    if as_json and out is None:
        raise click.UsageError("--json needs --out: standard output holds the predictions")
    with stderr_to(Path(os.devnull)):  # TensorFlow logs when it starts
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
        pushed = PushedModel(model, level)
    if evaluate and not pushed.all_probabilities:
        raise InputError(f"--evaluate: {pushed.folder} gives only the 20 best labels of video-level records")
    metrics = VideoMetrics(len(pushed.names), REPLICATES, pushed.card.threshold) if evaluate else None
    shards = [Path(file.path) for file in files.files if "://" not in file.path]
    folders = {shard.parent for shard in shards}
    described_by = (folder / name for folder in folders for name in ("vocabulary.csv", "oracle.json"))
    inputs = [*shards, *described_by, Path(pushed.folder)]
    console = Console(stderr=True)
    shown: list[str] = []
    columns = BarColumn(), DownloadColumn(), TextColumn("{task.fields[videos]:,} videos"), TimeRemainingColumn()
    # On a terminal that shows the predictions, a bar would mix with them.
    hidden = not console.is_terminal or (out is None and sys.stdout.isatty())
    try:
        with (
            writing(out),
            open_output(out, inputs) as file,
            Progress(*columns, console=console, disable=hidden, transient=True) as progress,
        ):
            task = progress.add_task("", total=files.size, videos=0)

            def report_rejected(rejected: RejectedRecord) -> None:
                if len(shown) < SHOWN:
                    shown.append(str(rejected))
                progress.console.print(f"rejected: {rejected}", markup=False, highlight=False, soft_wrap=True)

            def show_progress(bytes_read: int) -> None:
                progress.update(task, completed=bytes_read, videos=prediction.videos)

            prediction = Prediction(pushed, files, level, batch, top, metrics, report_rejected, show_progress)
            file.write(CSV_HEADER if form == "csv" else "")
            for answer in prediction.answers():
                file.write(csv_line(answer) if form == "csv" else json_line(answer, pushed.names))
    except BrokenPipeError:  # `| head` has exited
        sys.exit(1)

    summary: dict[str, Any] = {"model": pushed.folder, "videos": prediction.videos, "skipped": prediction.rejected}
    if prediction.rejected:
        rejected, answered = plural(prediction.rejected, "record"), plural(prediction.videos, "video")
        click.echo(f"{rejected} rejected, {answered} answered", err=True)
    if metrics:
        if not metrics.videos:
            raise InputError(f"--evaluate: no video carries labels ({prediction.videos:,} read)")
        scores = Scores.of(metrics, prediction.without_labels, pushed.card.threshold)
        summary |= asdict(scores)
        if not as_json:
            scores.print(console)
    if as_json:
        click.echo(json.dumps(summary | {"first_skipped": shown}, indent=1))
    if prediction.rejected:
        sys.exit(SKIPPED)
