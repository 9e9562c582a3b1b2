"""Local runs from settings to scores: what `yt8m run` does."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import yaml
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from tfx import v1 as tfx

from components.dataset_statistics.statistics import Statistics
from components.evaluator.page import SCORES as TITLES
from components.evaluator.verdict import Verdict
from components.progress import show_progress
from components.served_models import find_champion
from components.trainer.trainer import TRAINING_LOG, read_training_log
from components.tuner.component import TRIALS
from models.errors import InputError
from models.training.log import TrainingLog
from models.whole_files import write_file
from pipeline.beam.options import beam_args
from pipeline.beam.preflight import preflight
from pipeline.beam_settings import JOB_FILE
from pipeline.create_pipeline import create_pipeline
from pipeline.data.preparation import prepare
from pipeline.local.findings import findings
from pipeline.local.leftovers import CHECKPOINTS, SEARCH, SERVING, exclusive
from pipeline.local.metadata_file import ARTIFACTS, METADATA, require_metadata
from pipeline.local.runner import LocalRunner
from pipeline.reports.run import write_report
from pipeline.reports.scores import SCORES_FILE, RunScores, Splits
from pipeline.settings import RunSettings
from pipeline.steps import PER_EXPERIMENT, Step, StepRun
from tuner.hyperparameters import check_hyperparameters

# The result of a search in a run folder, for other runs to train with.
HYPERPARAMETERS, BEST = "hyperparameters", "best_hyperparameters.txt"

# The scores of the test split that a run prints.
TEST_SCORES = ("f1", "precision", "recall", "f1_at_threshold", "gap", "map", "map_at_k", "hit_at_1")


def run(settings: RunSettings, console: Console, from_node: str = "", workspace: Path | None = None) -> RunScores:
    """Runs the pipeline and writes the run folder.

    Args:
        settings: of the run.
        console: for progress and results.
        from_node: this step and those after it run even if their results are cached.
        workspace: folder of artifacts and metadata that several runs share; the run folder by default.

    Returns:
        The scores of the three splits.

    Raises:
        InputError: data or settings cannot be used, mostly noticed before any work is done; or another process runs in
            the same folder.
    """
    show_progress()
    out = settings.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    with exclusive(out):
        return _run(settings, console, from_node, out, (workspace or out).resolve())


def _run(settings: RunSettings, console: Console, from_node: str, out: Path, workspace: Path) -> RunScores:
    require_metadata(workspace)
    prepared = prepare(settings, str(out / SERVING))
    settings = prepared.settings
    if settings.hyperparameters:
        check_hyperparameters(Path(settings.hyperparameters, BEST), settings.model, settings.training)
    pipeline = create_pipeline(
        settings,
        prepared.vocabulary,
        prepared.synthetic,
        pipeline_root=str(workspace / ARTIFACTS),
        push_directory=str(out / SERVING),
        checkpoint_dir=str(out / CHECKPOINTS),
        tune_dir=str(out / SEARCH),
        log_dir=str(out / "logs"),
        metadata=tfx.orchestration.metadata.sqlite_metadata_connection_config(str(workspace / METADATA)),
        beam_args=beam_args(settings.beam, workspace / JOB_FILE),
    )
    if from_node and from_node not in (names := [node.id for node in pipeline.components]):
        raise InputError(f"--from-node is {from_node!r}, allowed: {', '.join(names)}")

    needed = [prepared.shards.files[0].path, str(out), *settings.training.teachers]
    preflight(settings.beam, str(workspace / ARTIFACTS), needed, workspace / JOB_FILE)

    def on_step(step: StepRun) -> None:
        if step.name == Step.EXAMPLE_GEN and step.state in ("done", "cached"):
            _replace_results(settings, out)
        _print_step(step, console)

    runner = LocalRunner(out / "steps.json", on_step)
    steps = {step.name: step for step in runner.run(pipeline, from_node)}
    log = read_training_log(steps[Step.TRAINER].outputs["model"])
    write_file(out / TRAINING_LOG, log.to_json())
    if Step.TUNER in steps:
        (out / HYPERPARAMETERS).mkdir(exist_ok=True)  # TFX allows no other file beside them
        shutil.copy(Path(steps[Step.TUNER].outputs["best_hyperparameters"], BEST), out / HYPERPARAMETERS)
        shutil.copy(Path(steps[Step.TUNER].outputs["tuner_results"], TRIALS), out)
    scores = _scores(settings, steps, log, out)
    write_file(out / SCORES_FILE, scores.to_json())
    report = write_report(settings, scores, runner.steps, out)
    _print_scores(scores, console)
    _print_steps(runner.steps, console)
    console.print(f"report: {report}", soft_wrap=True)
    return scores


def _replace_results(settings: RunSettings, out: Path) -> None:
    """Removes the results of an earlier run and writes the new settings, once the data are known to be usable."""
    for result in (SCORES_FILE, TRAINING_LOG):
        (out / result).unlink(missing_ok=True)
    write_file(out / "settings.yaml", yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False))


def run_all(runs: Sequence[RunSettings], console: Console, workspace: Path, from_node: str = "") -> None:
    """Runs experiments on the same data one after another: what comes before the Trainer runs once.

    An experiment that fails, for example because it diverges, does not stop the others.

    Args:
        runs: settings that differ in experiment, model, training and folder only.
        console: for progress and results.
        workspace: holds the artifacts and metadata that the runs share.
        from_node: see `run`.

    Raises:
        InputError: experiments failed; raised after all have run, with the first reason.
    """
    table = Table("experiment", "train F1", "validation F1", "test F1", title="All experiments", box=SIMPLE)
    failures: dict[str, str] = {}
    with exclusive(workspace):
        for number, settings in enumerate(runs, start=1):
            console.rule(f"{settings.experiment} ({number} of {len(runs)})")
            try:
                scores = run(settings, console, from_node, workspace)
            except InputError as error:
                console.print(f"failed: {error}", markup=False, highlight=False)
                failures[settings.experiment] = str(error)
                table.add_row(settings.experiment, "failed")
                continue
            table.add_row(settings.experiment, *(f"{split.f1:.4f}" for _, split in scores.splits))
            if from_node not in PER_EXPERIMENT:
                from_node = ""  # the shared steps have run again
    console.print(table)
    if failures:
        name, reason = next(iter(failures.items()))
        raise InputError(f"{len(failures)} of {len(runs)} experiments failed, first {name}: {reason}")


def _print_step(step: StepRun, console: Console) -> None:
    """Prints a step when it starts and, with its results, when it has ended."""
    if step.state == "running":
        console.print(f"[bold]{step.name}[/bold] ...")
        return
    console.print(f"[bold]{step.name}[/bold] {step.state}, {step.seconds:.1f} s, {step.peak_memory_mb} MB")
    if step.state in ("failed", "stopped"):
        return
    for line in findings(step):
        console.print(f"  {line}", markup=False, highlight=False)


def _scores(settings: RunSettings, steps: dict[str, StepRun], log: TrainingLog, out: Path) -> RunScores:
    verdict = Verdict.read(steps[Step.EVALUATOR].outputs["evaluation"])
    statistics = Statistics.read(steps[Step.DATASET_STATISTICS].outputs["statistics"])
    champion = find_champion(str(out / SERVING))
    return RunScores(
        experiment=settings.experiment,
        data=settings.data.pattern,
        level=settings.record_level,
        synthetic=statistics.synthetic is not None,
        model_version=champion.version if champion else None,
        blessed=verdict.blessed,
        splits=Splits.of(log, verdict),
    )


def _print_scores(scores: RunScores, console: Console) -> None:
    title = f"Scores of {scores.experiment}" + (" on synthetic data" if scores.synthetic else "")
    table = Table("split", "videos", "F1", "source", title=title, box=SIMPLE)
    for split, row in scores.splits:
        table.add_row(split, f"{row.videos:,}", f"{row.f1:.4f}", row.source)
    console.print(table)
    test, table = scores.splits.test, Table("test split", "score", "95 % interval", box=SIMPLE)
    for name in TEST_SCORES:
        if (score := getattr(test, name)) is None:  # of videos or of rated segments alone
            continue
        interval = test.intervals.get(name)
        spread = "{:.4f} to {:.4f}".format(*interval) if interval else "not measured"
        table.add_row(TITLES[name], f"{score:.4f}", spread)
    console.print(table)


def _print_steps(steps: list[StepRun], console: Console) -> None:
    table = Table("step", "state", "seconds", "peak memory (MB)", box=SIMPLE)
    for step in steps:
        table.add_row(step.name, step.state, f"{step.seconds:.1f}", str(step.peak_memory_mb))
    console.print(table)
