"""A search without a pipeline, over what a run has ingested: what `yt8m tune` does."""

import json
from contextlib import nullcontext
from pathlib import Path

import yaml
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from tfx.types import standard_artifacts
from tfx.utils import json_utils, proto_utils

from components.progress import show_progress
from components.tuner.component import PAGE, TUNER_FN, TunerExecutor, read_trials
from models.errors import InputError
from models.whole_files import write_file
from pipeline.create_pipeline import EVAL_ARGS, TRAIN_ARGS, search_task, training_examples
from pipeline.local.ingested import Ingested
from pipeline.local.leftovers import SEARCH, exclusive
from pipeline.local.run import HYPERPARAMETERS
from pipeline.settings import RunSettings
from tuner.search import is_worker
from tuner.trials import SearchResult


def tune(settings: RunSettings, ingested: Ingested, console: Console) -> SearchResult | None:
    """Searches with the executor of the pipeline's Tuner and writes the same files as a run with a search.

    Args:
        settings: of the search; `out` receives its trials, page, `hyperparameters/` and TensorBoard logs.
        ingested: the data of a run.
        console: for progress and results.

    Returns:
        The trials; None where this process was a worker.

    Raises:
        InputError: the data have another level than the experiment, it has teachers, or no trial could be scored.
    """
    if settings.training.teachers:
        raise InputError(
            "training.teachers is set, allowed in a search outside a run: none (`yt8m run --tune` searches with them)"
        )
    if settings.record_level != ingested.level:
        wanted = f"{settings.experiment} reads {settings.record_level}-level records"
        raise InputError(f"{wanted}, --run holds {ingested.level}-level ones")
    out = settings.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    with nullcontext() if is_worker() else exclusive(out):
        return _tune(settings, ingested, console, out)


def _tune(settings: RunSettings, ingested: Ingested, console: Console, out: Path) -> SearchResult | None:
    results, best = standard_artifacts.TunerResults(), standard_artifacts.HyperParameters()
    results.uri, best.uri = str(out), str(out / HYPERPARAMETERS)
    task = search_task(
        settings, ingested.names, ingested.synthetic, state_dir=str(out / SEARCH), log_dir=str(out / "logs")
    )
    show_progress()
    TunerExecutor().Do(
        {
            "examples": [training_examples(settings, ingested.examples, ingested.transformed)],
            "transform_graph": [ingested.transform_graph],
        },
        {"best_hyperparameters": [best], "tuner_results": [results]},
        {
            "tuner_fn": TUNER_FN,
            "train_args": proto_utils.proto_to_json(TRAIN_ARGS),
            "eval_args": proto_utils.proto_to_json(EVAL_ARGS),
            "custom_config": json_utils.dumps(task.custom_config()),
        },
    )
    if is_worker():
        return None
    write_file(out / "settings.yaml", yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False))
    result = read_trials(str(out))
    _print_trials(result, settings.experiment, console)
    console.print(result.describe(), markup=False, highlight=False)
    console.print(f"page: {out / PAGE}", soft_wrap=True)
    console.print(f"train with the winner: yt8m run --hyperparameters {best.uri} ...", soft_wrap=True)
    return result


def _print_trials(result: SearchResult, experiment: str, console: Console) -> None:
    keys = list(dict.fromkeys(key for trial in result.trials for key in trial.values))
    names = [key.rpartition(".")[2] for key in keys]
    table = Table(
        "trial", *names, result.objective, "epochs", "seconds", "", title=f"Trials of {experiment}", box=SIMPLE
    )
    for trial in result.ranked:
        values = [json.dumps(trial.values[key]) if key in trial.values else "" for key in keys]
        score = f"{trial.scores[result.objective]:.4f}" if trial.scores else ""
        remark = trial.reason or ("hopeless" if trial.stopped_by == "hopeless" else "")
        table.add_row(trial.id, *values, score, str(trial.epochs), f"{trial.seconds:.1f}", remark)
    console.print(table)
