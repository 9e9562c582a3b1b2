"""The command `yt8m`."""

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

# TFX takes seconds to import, so each command imports what it needs when it runs.

USER_MISTAKE, FAILURE = 2, 1


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="yt8m-pipeline")
def yt8m() -> None:
    """Video classification on YouTube-8M: run, compare and ship experiments."""


@yt8m.command()
@click.option("--data", required=True, help="Folder, glob or {SPAN} pattern of raw shards; local, gs:// or s3://.")
@click.option("--experiment", required=True, help="Name of an experiment, see `yt8m experiments`.")
@click.option("--test-data", help="Pattern of shards that all go to the test split.")
@click.option("--split", help="file:80/10/10 (default), id:80/10/10, thesis-video or thesis-frame.")
@click.option("--seed", type=int, help="Of the split, the weights and the order of training (default 0).")
@click.option("--vocabulary", help="CSV with Index and Name (default: vocabulary.csv beside the shards).")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the run (default runs/<experiment>).")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Any setting: training.max_epochs=3.")
@click.option("--from-node", default="", help="Run this step and those after it even if their results are cached.")
def run(
    data: str,
    experiment: str,
    test_data: str | None,
    split: str | None,
    seed: int | None,
    vocabulary: str | None,
    out: Path | None,
    overrides: tuple[str, ...],
    from_node: str,
) -> None:
    """Run the pipeline here: ingest, validate, train, evaluate and push one experiment."""
    from pipeline.experiments import find_experiment
    from pipeline.settings import resolve_settings

    found = find_experiment(experiment)
    settings = resolve_settings(
        found,
        {
            "data.pattern": data if "://" in data else os.path.abspath(data),
            "data.test_data": test_data and (test_data if "://" in test_data else os.path.abspath(test_data)),
            "data.split": split or ("file:90/10" if test_data else "file:80/10/10"),
            "data.vocabulary": vocabulary and (vocabulary if "://" in vocabulary else os.path.abspath(vocabulary)),
            "seed": seed,
            "out": str(out or Path("runs") / found.name),
        },
        overrides,
    )
    try:
        settings.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out is {str(settings.out)!r}: {error.strerror}, expected a folder") from None
    log = settings.out / "run.log"
    with _stderr_to(log):
        from rich.console import Console

        from pipeline.run import run as run_pipeline

        try:
            run_pipeline(settings, Console(), from_node)
        except InputError:
            raise
        except Exception as error:
            traceback.print_exc()
            raise click.ClickException(f"{type(error).__name__}: {_first_line(error)} (details in {log})") from None


@yt8m.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def experiments(as_json: bool) -> None:
    """List the experiments."""
    from pipeline.experiments import catalogue

    if as_json:
        click.echo(json.dumps([entry.model_dump(mode="json") for entry in catalogue().values()], indent=1))
        return
    for entry in catalogue().values():
        source = f"thesis table {entry.published.table}, row {entry.published.row}" if entry.published else "ours"
        click.echo(f"{entry.name:40} {entry.level:6} {source}")


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


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), "")
