"""`yt8m run`."""

from pathlib import Path

import click

from components.readable_log import import_tensorflow
from models.errors import InputError
from pipeline.cli.options import (
    DATA,
    EXPERIMENT_FILE,
    SEED,
    TUNE,
    absolute,
    data_settings,
    set_option,
    with_split,
)
from pipeline.cli.quiet import failures_to, stderr_to
from pipeline.files.out_folder import make_folder


@click.command()
@DATA
@click.option("--experiment", metavar="NAME[,NAME]", help="One or several experiments; `yt8m experiments` lists them.")
@click.option(
    "--table", type=int, metavar="N", help="Run all experiments of table N of the thesis, instead of --experiment."
)
@EXPERIMENT_FILE
@with_split
@SEED
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Run folder (default runs/<experiment>); for several experiments, the parent of run folders (default runs).",
)
@set_option("Any setting, for example training.max_epochs=3; repeatable.")
@TUNE
@click.option(
    "--hyperparameters", metavar="FOLDER", help="Train with the result of a search: its folder hyperparameters/."
)
@click.option("--from-node", default="", help="Run this step and those after it even if their results are cached.")
def run(
    data: str,
    experiment: str | None,
    table: int | None,
    experiment_file: Path | None,
    validation_data: str | None,
    test_data: str | None,
    split: str | None,
    seed: int | None,
    vocabulary: str | None,
    out: Path | None,
    overrides: tuple[str, ...],
    tune: bool,
    hyperparameters: str | None,
    from_node: str,
) -> None:
    """Run the pipeline on this machine: ingest, validate, train, evaluate and push.

    Several experiments share their data: the steps before training run once.
    """
    from pipeline.experiments import find_experiment, list_experiments
    from pipeline.settings import resolve_settings

    if (experiment is None) == (table is None):
        raise click.UsageError("expected either --experiment or --table")
    if experiment is None:
        entries = list_experiments(experiment_file, table)
    else:
        entries = [find_experiment(name.strip(), experiment_file) for name in experiment.split(",")]
    entries = list({entry.name: entry for entry in entries}.values())
    several = len(entries) > 1
    if len({entry.level for entry in entries}) > 1:
        raise InputError(f"{', '.join(f'{e.name} ({e.level})' for e in entries)}: expected experiments of one level")
    folder = out or (Path("runs") if several else Path("runs") / entries[0].name)
    options = {
        **data_settings(data, validation_data, test_data, split, vocabulary),
        "seed": seed,
        "search": tune or None,
        "hyperparameters": absolute(hyperparameters),
    }
    runs = []
    for entry in entries:
        try:
            run_folder = str(folder / entry.name if several else folder)
            runs.append(resolve_settings(entry, options | {"out": run_folder}, overrides))
        except InputError as error:
            raise InputError(f"{entry.name}: {error}" if several else str(error)) from None
    make_folder(folder)
    log = folder / "run.log"
    with stderr_to(log), failures_to(log):
        import_tensorflow()
        from rich.console import Console

        from pipeline.local.run import run as run_one
        from pipeline.local.run import run_all

        if several:
            run_all(runs, Console(), folder, from_node)
        else:
            run_one(runs[0], Console(), from_node)
