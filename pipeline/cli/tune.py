"""`yt8m tune`."""

import os
import re
from pathlib import Path

import click

from components.readable_log import import_tensorflow
from models.errors import InputError, quote
from models.settings import MAX_SEED
from pipeline.cli.options import EXPERIMENT_FILE, absolute, set_option
from pipeline.cli.quiet import failures_to, stderr_to
from pipeline.files.out_folder import make_folder

# Settings that matter to a search; the others come from the run or matter only after training.
SETTABLE = ("level", "model", "training", "tune")


@click.command()
@click.argument("name")
@click.option(
    "--run",
    "run_folder",
    required=True,
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Run folder; trials are trained on the data that it has ingested.",
)
@EXPERIMENT_FILE
@set_option("Any setting of a search, for example tune.max_trials=5; repeatable.")
@click.option(
    "--seed", type=click.IntRange(0, MAX_SEED), help="Seed of the search and the weights (default: the run's)."
)
@click.option("--workers", type=click.IntRange(min=1), help="Parallel trials (default: the experiment's tune.workers).")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the search (default searches/NAME).")
def tune(
    name: str,
    run_folder: Path,
    experiment_file: Path | None,
    overrides: tuple[str, ...],
    seed: int | None,
    workers: int | None,
    out: Path | None,
) -> None:
    """Search hyperparameters for the experiment NAME on the data that a run has ingested.

    Running the command again resumes a killed search. With KERASTUNER_TUNER_ID, KERASTUNER_ORACLE_IP and
    KERASTUNER_ORACLE_PORT set, the process is the chief or a worker of a search on several machines.
    """
    from pipeline.experiments import find_experiment
    from pipeline.settings import resolve_settings

    entry = find_experiment(name, experiment_file)
    for override in overrides:
        key = override.partition("=")[0].strip()
        if key.partition(".")[0] not in SETTABLE:
            raise InputError(f"--set {key} is not a setting of a search, allowed: those of {', '.join(SETTABLE)}")
    _require_a_place_in_a_search()
    out = out or Path("searches") / entry.name
    log = out / f"{os.environ.get('KERASTUNER_TUNER_ID', 'tune')}.log"
    make_folder(out)
    with stderr_to(log), failures_to(log):
        import_tensorflow()
        from rich.console import Console

        from pipeline.local.ingested import Ingested
        from pipeline.local.tuning import tune as search

        ingested = Ingested.find(run_folder)
        options = {
            "data.pattern": ingested.data,
            "seed": ingested.seed if seed is None else seed,
            "search": True,
            "tune.workers": workers,
            "out": absolute(str(out)),
        }
        search(resolve_settings(entry, options, overrides), ingested, Console())


def _require_a_place_in_a_search() -> None:
    """Checks KerasTuner's variables for a search on several machines, all of which or none are set."""
    allowed = {
        "KERASTUNER_TUNER_ID": (r"[A-Za-z0-9][\w.-]*", "chief, or a name for a worker"),
        "KERASTUNER_ORACLE_IP": (r"[\w.:-]+", "the address of the chief"),
        "KERASTUNER_ORACLE_PORT": (r"\d{1,5}", "the port of the chief"),
    }
    values = {name: os.environ.get(name) for name in allowed}
    if not any(values.values()):
        return
    for name, (pattern, meaning) in allowed.items():
        if not re.fullmatch(pattern, values[name] or "", re.ASCII):
            raise InputError(f"{name} is {quote(values[name] or '')}, expected {meaning}")
