"""`yt8m experiments` and `yt8m experiments show`."""

import dataclasses
import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from models.errors import plural
from models.features import MAX_FRAMES, YT8M_CLASSES
from pipeline.cli.columns import print_columns
from pipeline.cli.options import AS_JSON, EXPERIMENT_FILE

if TYPE_CHECKING:
    from pipeline.experiments import Experiment


@click.group(invoke_without_command=True)
@click.option("--table", type=int, metavar="N", help="Only those in one of the thesis' tables.")
@click.option("--encoder", metavar="NAME", help="Only those with one encoder, say netvlad.")
@AS_JSON
@EXPERIMENT_FILE
@click.pass_context
def experiments(
    context: click.Context, table: int | None, encoder: str | None, as_json: bool, experiment_file: Path | None
) -> None:
    """List the experiments, or show one of them.

    `thesis-best` is another name for table 15, row 2.
    """
    from pipeline.experiments import list_experiments

    if context.invoked_subcommand:
        if any(context.params.values()):
            raise click.UsageError(f"options of `{context.invoked_subcommand}` come after it", context)
        return
    entries = list_experiments(experiment_file, table, encoder)
    if as_json:
        click.echo(json.dumps([experiment.model_dump(mode="json") for experiment in entries], indent=1))
        return
    rows = [("name", "level", "encoder", "published in", "test F1")]
    for experiment in entries:
        place, f1 = "ours", ""
        if published := experiment.published:
            place, f1 = f"table {published.table}, row {published.row}", f"{published.f1_test:.3f}"
        rows.append((experiment.name, experiment.level, experiment.model.encoder.name, place, f1))
    print_columns(rows)


@experiments.command()
@click.argument("name")
@click.option(
    "--classes", type=click.IntRange(min=1), default=YT8M_CLASSES, show_default=True, help="Number of labels."
)
@AS_JSON
@EXPERIMENT_FILE
def show(name: str, classes: int, as_json: bool, experiment_file: Path | None) -> None:
    """Print an experiment's published results, command, cost and settings.

    The settings are an entry for an experiment file: change them under a new name.
    """
    from models.cost import cost
    from pipeline.experiments import find_experiment

    experiment = find_experiment(name, experiment_file)
    command = _run_command(experiment, experiment_file)
    needed = cost(experiment.model, classes)
    if as_json:
        costs = {"command": command, "classes": classes, "frames": MAX_FRAMES, "parameters": None, "flops": None}
        costs |= dataclasses.asdict(needed) if needed else {}
        click.echo(json.dumps(experiment.model_dump(mode="json") | costs, indent=1))
        return
    if published := experiment.published:
        click.echo(f"# Published: table {published.table}, row {published.row} of the thesis")
        click.echo(f"#   F1 {published.f1_test:.3f} on test, {published.f1_train:.3f} on train")
        if published.precision is not None and published.recall is not None:
            click.echo(f"#   precision {published.precision:.3f}, recall {published.recall:.3f} on test")
        click.echo(f"#   {plural(published.epochs, 'epoch')} of {published.minutes_per_epoch:g} minutes")
    click.echo(f"# Command: {command}")
    if needed:
        click.echo(f"# Size: {needed.parameters:,} parameters with {plural(classes, 'label')}")
        click.echo(f"# Work: {needed.flops / 1e9:.3g} GFLOPs to classify a video of {MAX_FRAMES} frames")
    else:
        of_members = experiment.model.encoder.name == "ensemble"
        click.echo(
            f"# Size and work: {'the sum over its members' if of_members else 'they grow with the training videos'}"
        )
    click.echo(experiment.as_yaml(), nl=False)


def _run_command(experiment: "Experiment", experiment_file: Path | None) -> str:
    """The command that runs an experiment; the folder of its data is an example."""
    from models.settings import EnsembleSettings

    command = ["yt8m", "run", "--data", f"/data/yt8m/{experiment.record_level}", "--experiment", experiment.name]
    if experiment_file:
        command += ["--experiment-file", str(experiment_file)]
    if experiment.tune:
        command.append("--tune")
    if isinstance(experiment.model.encoder, EnsembleSettings) and not experiment.model.encoder.members:
        command += ["--set", "model.encoder.members=[runs/a, runs/b]"]
    return shlex.join(command)
