"""`yt8m predict`."""

import json
import os
import sys
from contextlib import nullcontext
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
@click.option(
    "--top", type=click.IntRange(1, 20), default=20, show_default=True, help="Labels for each video or segment."
)
@click.option("--evaluate", is_flag=True, help="Score the model on the records with labels, or on the rated segments.")
@click.option(
    "--batch", type=click.IntRange(min=1), default=64, show_default=True, help="Videos, or segments, in a batch."
)
@click.option("--segments", is_flag=True, help="Predict labels for segments of five seconds, of frame-level records.")
@click.option(
    "--most",
    type=click.IntRange(1, 100_000),
    default=100_000,
    show_default=True,
    help="With --segments, csv: segments for each label.",
)
@click.option(
    "--labels", "label_file", metavar="FILE", help="With --segments: CSV whose Index lists the labels to use."
)
@click.option(
    "--video-model",
    metavar="MODEL",
    help="With --segments: multiply a segment's scores by those of its whole video, predicted by this model.",
)
@click.option(
    "--page",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="With --segments: HTML page to write, with the labels of videos against time.",
)
@click.option("--show", metavar="ID", multiple=True, help="With --page: a video to show (default: the first 12).")
@click.option("--json", "as_json", is_flag=True, help="With --out: print a summary and the scores as JSON.")
@click.pass_context
def predict(
    context: click.Context,
    model: str,
    data: str,
    out: Path | None,
    form: str,
    top: int,
    evaluate: bool,
    batch: int,
    segments: bool,
    most: int,
    label_file: str | None,
    video_model: str | None,
    page: Path | None,
    show: tuple[str, ...],
    as_json: bool,
) -> None:
    """Predict labels for raw records with MODEL: a run folder, its serving/ or a version in there.

    Loading MODEL can run code that its author put into it: use only models that you trust.

    Records need no labels. Predictions come in the order of the file names and of the records in each file, best label
    first. A record that cannot be used is reported on standard error and left out; with --evaluate, so is a record with
    labels that the model does not know. The exit code is then 3.

    With --segments, the segments are those that a record lists, else every five seconds. csv has a line for each label,
    its best segments first; jsonl a line for each video, with the labels of each segment. --evaluate is MAP@K.
    """
    _refuse_unused(context, segments, form, page)
    if page and out and page.resolve() == out.resolve():
        raise InputError(f"--page is {str(page)!r}, the file of --out")
    if as_json and out is None:
        raise click.UsageError("--json needs --out: standard output holds the predictions")
    with stderr_to(Path(os.devnull)):  # TensorFlow logs when it starts
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

        from components.example_gen.ingest import RejectedRecord
        from components.example_gen.input_files import detect_level, find_files
        from models.metrics.bootstrap import REPLICATES
        from models.metrics.map_at_k import MapAtK
        from models.metrics.video_metrics import VideoMetrics
        from pipeline.data.oracle_file import read_oracle_file
        from pipeline.files.output_file import open_output
        from pipeline.prediction import output, segment_output
        from pipeline.prediction.prediction import Prediction
        from pipeline.prediction.pushed_model import PushedModel
        from pipeline.prediction.records import Records
        from pipeline.prediction.segments import SegmentPrediction
        from pipeline.prediction.timeline import Timelines

        files = find_files(data)
        level = detect_level(files)
        if segments and level != "frame":
            raise InputError(f"--segments: {files.pattern} holds video-level records, segments need frames")
        pushed = PushedModel(model, level)
        gate = PushedModel(video_model, level) if video_model else None
        if gate and gate.names != pushed.names:
            raise InputError(f"--video-model: {gate.folder} has other labels than {pushed.folder}")
    if evaluate and not pushed.all_probabilities:
        raise InputError(f"--evaluate: {pushed.folder} gives only the 20 best labels of video-level records")
    classes = len(pushed.names)
    labels = segment_output.read_labels(label_file, classes) if label_file else list(range(classes))
    shards = [Path(file.path) for file in files.files if "://" not in file.path]
    folders = {shard.parent for shard in shards}
    described_by = (folder / name for folder in folders for name in ("vocabulary.csv", "oracle.json"))
    models_used = [Path(model.folder) for model in (pushed, gate) if model]
    inputs = [*shards, *described_by, *models_used, *([Path(label_file)] if label_file else [])]
    synthetic = read_oracle_file(files) if page else None
    console = Console(stderr=True)
    shown: list[str] = []
    columns = BarColumn(), DownloadColumn(), TextColumn("{task.fields[videos]:,} videos"), TimeRemainingColumn()
    # On a terminal that shows the predictions, a bar would mix with them.
    hidden = not console.is_terminal or (out is None and sys.stdout.isatty())
    # Opened before the predictions, which take long, and written after them.
    page_file = open_output(page, inputs, "--page") if page else nullcontext()
    try:
        with writing(page), page_file as html:
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

                records = Records(files, level, report_rejected, show_progress)
                prediction: Prediction | SegmentPrediction
                if segments:
                    prediction = SegmentPrediction(pushed, records, batch, MapAtK(classes) if evaluate else None, gate)
                    timelines = Timelines(prediction, pushed, show)
                    answers = timelines.watch(prediction.answers())
                    if form == "csv":
                        lines = segment_output.csv_lines(answers, labels, most)
                    else:
                        lines = segment_output.json_lines(answers, labels, top, pushed.names)
                else:
                    metrics = VideoMetrics(classes, REPLICATES, pushed.card.threshold) if evaluate else None
                    prediction = Prediction(pushed, records, batch, top, metrics)
                    if form == "csv":
                        lines = output.csv_lines(prediction.answers())
                    else:
                        lines = output.json_lines(prediction.answers(), pushed.names)
                file.writelines(lines)
            if html:
                html.write(timelines.page(synthetic))
    except BrokenPipeError:  # `| head` has exited
        sys.exit(1)

    summary: dict[str, Any] = {"model": pushed.folder, "videos": prediction.videos, "skipped": records.rejected}
    if records.rejected:
        rejected, answered = plural(records.rejected, "record"), plural(prediction.videos, "video")
        click.echo(f"{rejected} rejected, {answered} answered", err=True)
    if evaluate:
        scores = prediction.scores()
        summary |= asdict(scores)
        if not as_json:
            scores.print(console)
    if as_json:
        click.echo(json.dumps(summary | {"first_skipped": shown}, indent=1))
    if records.rejected:
        sys.exit(SKIPPED)


def _refuse_unused(context: click.Context, segments: bool, form: str, page: Path | None) -> None:
    """Refuses options that would have no effect on the answers."""
    unused = {
        "top": (segments and form == "csv", "--top", "--format jsonl or no --segments"),
        "most": (not segments or form != "csv", "--most", "--segments and csv"),
        "label_file": (not segments, "--labels", "--segments"),
        "video_model": (not segments, "--video-model", "--segments"),
        "page": (not segments, "--page", "--segments"),
        "show": (page is None, "--show", "--page"),
    }
    for name, (is_unused, option, needed) in unused.items():
        if is_unused and context.get_parameter_source(name) != click.core.ParameterSource.DEFAULT:
            raise click.UsageError(f"{option} has no effect here, it needs {needed}")
