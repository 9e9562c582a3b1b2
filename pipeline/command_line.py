"""The command `yt8m`."""

import dataclasses
import json
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from models.errors import InputError
from models.features import MAX_FRAMES, YT8M_CLASSES

# TFX takes seconds to import, so each command imports what it needs when it runs.

USER_MISTAKE, FAILURE = 2, 1

EXPERIMENT_FILE = click.option(
    "--experiment-file", metavar="FILE", type=click.Path(path_type=Path), help="YAML with experiments of your own."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="yt8m-pipeline")
def yt8m() -> None:
    """Video classification on YouTube-8M: run, compare and ship experiments."""


@yt8m.command()
@click.option("--data", required=True, help="Folder, glob or {SPAN} pattern of raw shards; local, gs:// or s3://.")
@click.option("--experiment", metavar="NAME[,NAME]", help="One or several experiments, see `yt8m experiments`.")
@click.option("--table", type=int, metavar="N", help="Instead: all experiments of one of the thesis' tables.")
@EXPERIMENT_FILE
@click.option("--test-data", help="Pattern of shards that all go to the test split.")
@click.option("--split", help="file:80/10/10 (default), id:80/10/10, thesis-video or thesis-frame.")
@click.option("--seed", type=int, help="Of the split, the weights and the order of training (default 0).")
@click.option("--vocabulary", help="CSV with Index and Name (default: vocabulary.csv beside the shards).")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder of the run (default runs/<experiment>); of several, it holds theirs (default runs).",
)
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Any setting: training.max_epochs=3.")
@click.option("--from-node", default="", help="Run this step and those after it even if their results are cached.")
def run(
    data: str,
    experiment: str | None,
    table: int | None,
    experiment_file: Path | None,
    test_data: str | None,
    split: str | None,
    seed: int | None,
    vocabulary: str | None,
    out: Path | None,
    overrides: tuple[str, ...],
    from_node: str,
) -> None:
    """Run the pipeline here: ingest, validate, train, evaluate and push.

    Several experiments read the same data: what comes before their training runs once.
    """
    from pipeline.experiments import find_experiment, list_experiments
    from pipeline.settings import resolve_settings

    if (experiment is None) == (table is None):
        raise click.UsageError("expected either --experiment or --table")
    if experiment is None:
        chosen = list_experiments(experiment_file, table)
    else:
        chosen = [find_experiment(name.strip(), experiment_file) for name in experiment.split(",")]
    chosen = list({entry.name: entry for entry in chosen}.values())
    several = len(chosen) > 1
    if len({entry.level for entry in chosen}) > 1:
        raise InputError(f"{', '.join(f'{e.name} ({e.level})' for e in chosen)}: one run reads records of one level")
    folder = out or (Path("runs") if several else Path("runs") / chosen[0].name)
    options = {
        "data.pattern": _absolute(data),
        "data.test_data": _absolute(test_data),
        "data.split": split or ("file:90/10" if test_data else "file:80/10/10"),
        "data.vocabulary": _absolute(vocabulary),
        "seed": seed,
    }
    runs = []
    for entry in chosen:
        try:
            own = {"out": str(folder / entry.name if several else folder)}
            runs.append(resolve_settings(entry, options | own, overrides))
        except InputError as error:
            raise InputError(f"{entry.name}: {error}" if several else str(error)) from None
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out is {str(folder)!r}: {error.strerror}, expected a folder") from None
    log = folder / "run.log"
    with _stderr_to(log):
        from rich.console import Console

        from pipeline.run import run as run_one
        from pipeline.run import run_all

        try:
            if several:
                run_all(runs, Console(), folder, from_node)
            else:
                run_one(runs[0], Console(), from_node)
        except InputError:
            raise
        except Exception as error:
            traceback.print_exc()
            raise click.ClickException(f"{type(error).__name__}: {_first_line(error)} (details in {log})") from None


@yt8m.group(invoke_without_command=True)
@click.option("--table", type=int, metavar="N", help="Those of one of the thesis' tables only.")
@click.option("--encoder", metavar="NAME", help="Those of one encoder only, say netvlad.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@EXPERIMENT_FILE
@click.pass_context
def experiments(
    context: click.Context, table: int | None, encoder: str | None, as_json: bool, experiment_file: Path | None
) -> None:
    """List the experiments, or show one of them.

    `thesis-best` is another name of table 15, row 2.
    """
    from pipeline.experiments import list_experiments

    if context.invoked_subcommand:
        if any(context.params.values()):
            raise click.UsageError(f"options of `{context.invoked_subcommand}` come after it", context)
        return
    listed = list_experiments(experiment_file, table, encoder)
    if as_json:
        click.echo(json.dumps([entry.model_dump(mode="json") for entry in listed], indent=1))
        return
    rows = [("name", "level", "encoder", "published in", "test F1")]
    for entry in listed:
        place, f1 = "ours", ""
        if entry.published:
            place, f1 = f"table {entry.published.table}, row {entry.published.row}", f"{entry.published.f1_test:.3f}"
        rows.append((entry.name, entry.level, entry.model.encoder.name, place, f1))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@experiments.command()
@click.argument("name")
@click.option(
    "--classes", type=click.IntRange(min=1), default=YT8M_CLASSES, show_default=True, help="Number of labels."
)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@EXPERIMENT_FILE
def show(name: str, classes: int, as_json: bool, experiment_file: Path | None) -> None:
    """Print what was published for an experiment, its costs and all settings.

    The settings are an entry for an experiment file, to be changed under a new name.
    """
    from models.cost import cost
    from pipeline.experiments import find_experiment

    entry = find_experiment(name, experiment_file)
    needed = cost(entry.model, classes)
    if as_json:
        costs = {"classes": classes, "frames": MAX_FRAMES, "parameters": None, "flops": None}
        costs |= dataclasses.asdict(needed) if needed else {}
        click.echo(json.dumps(entry.model_dump(mode="json") | costs, indent=1))
        return
    if found := entry.published:
        click.echo(f"# Published: table {found.table}, row {found.row} of the thesis")
        click.echo(f"#   F1 {found.f1_test:.3f} on test, {found.f1_train:.3f} on train")
        if found.precision is not None and found.recall is not None:
            click.echo(f"#   precision {found.precision:.3f}, recall {found.recall:.3f} on test")
        click.echo(f"#   {found.epochs} epochs of {found.minutes_per_epoch:g} minutes")
    if needed:
        click.echo(f"# Size: {needed.parameters:,} parameters with {classes} labels")
        click.echo(f"# Work: {needed.flops / 1e9:.3g} GFLOPs to classify a video of {MAX_FRAMES} frames")
    click.echo(entry.as_yaml(), nl=False)


@yt8m.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--level", type=click.Choice(["video", "frame"]), required=True, help="What a record holds.")
@click.option("--videos", type=click.IntRange(min=1), required=True)
@click.option("--labels", type=click.IntRange(min=1), required=True, help="Size of the vocabulary.")
@click.option("--seed", type=int, default=0, show_default=True)
def synth(out: Path, level: Any, videos: int, labels: int, seed: int) -> None:
    """Write a learnable synthetic data set to OUT, in the wire format of YouTube-8M."""
    with _stderr_to(Path(os.devnull)):
        from rich.progress import Progress

        from pipeline.synthetic_data import write_dataset

        with Progress(disable=not sys.stdout.isatty()) as progress:
            task = progress.add_task("videos", total=videos)
            write_dataset(out, level, videos, labels, seed, progress=lambda done: progress.update(task, completed=done))
    click.echo(f"{videos} synthetic {level}-level videos with {labels} labels in {out}")


@yt8m.command()
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


def main() -> None:
    """Entry point: the user's mistakes are one line and exit code 2."""
    try:
        yt8m(standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.UsageError as error:
        error.show()
        sys.exit(USER_MISTAKE)
    except InputError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(USER_MISTAKE)
    except click.ClickException as error:
        click.echo(f"error: {error.format_message()}", err=True)
        sys.exit(FAILURE)


@contextmanager
def _stderr_to(log: Path) -> Iterator[None]:
    """Sends what libraries write to standard error into a file, from C++ too, so that the console stays readable."""
    os.environ["TFX_ANALYTICS"] = "0"
    sys.stderr.flush()
    console = os.dup(2)
    with log.open("a") as file:
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(console, 2)
            os.close(console)


def _absolute(pattern: str | None) -> str | None:
    return os.path.abspath(pattern) if pattern and "://" not in pattern else pattern


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), "")
