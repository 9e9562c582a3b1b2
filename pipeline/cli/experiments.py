"""`yt8m experiments` and `yt8m experiments show`."""

import dataclasses
import json
from pathlib import Path

import click

from models.features import MAX_FRAMES, YT8M_CLASSES
from pipeline.cli.columns import print_columns
from pipeline.cli.options import AS_JSON, EXPERIMENT_FILE


@click.group(invoke_without_command=True)
@click.option("--table", type=int, metavar="N", help="Only those of this table of the thesis.")
@click.option("--encoder", metavar="NAME", help="Only those with this encoder, for example netvlad.")
@AS_JSON
@EXPERIMENT_FILE
@click.pass_context
def experiments(
    context: click.Context, table: int | None, encoder: str | None, as_json: bool, experiment_file: Path | None
) -> None:
    """List the experiments, or show one of them.

    `thesis-best` is an alias of table 15, row 2.
    """
    from pipeline.experiments import list_experiments

    if context.invoked_subcommand:
        if any(context.params.values()):
            raise click.UsageError(f"options of `{context.invoked_subcommand}` come after it", context)
        return
    entries = list_experiments(experiment_file, table, encoder)
    if as_json:
        click.echo(json.dumps([entry.model_dump(mode="json") for entry in entries], indent=1))
        return
    rows = [("name", "level", "encoder", "published in", "test F1")]
    for entry in entries:
        place, f1 = "ours", ""
        if entry.published:
            place, f1 = f"table {entry.published.table}, row {entry.published.row}", f"{entry.published.f1_test:.3f}"
        rows.append((entry.name, entry.level, entry.model.encoder.name, place, f1))
    print_columns(rows)


@experiments.command()
@click.argument("name")
@click.option(
    "--classes", type=click.IntRange(min=1), default=YT8M_CLASSES, show_default=True, help="Number of labels."
)
@AS_JSON
@EXPERIMENT_FILE
def show(name: str, classes: int, as_json: bool, experiment_file: Path | None) -> None:
    """Print an experiment: its published results, its cost and all its settings.

    Copy the settings into an experiment file, under a new name, to change them.
    """
    from models.cost import cost
    from pipeline.experiments import find_experiment

    entry = find_experiment(name, experiment_file)
    required = cost(entry.model, classes)
    if as_json:
        costs = {"classes": classes, "frames": MAX_FRAMES, "parameters": None, "flops": None}
        costs |= dataclasses.asdict(required) if required else {}
        click.echo(json.dumps(entry.model_dump(mode="json") | costs, indent=1))
        return
    if published := entry.published:
        click.echo(f"# Published: table {published.table}, row {published.row} of the thesis")
        click.echo(f"#   F1 {published.f1_test:.3f} on test, {published.f1_train:.3f} on train")
        if published.precision is not None and published.recall is not None:
            click.echo(f"#   precision {published.precision:.3f}, recall {published.recall:.3f} on test")
        click.echo(f"#   {published.epochs} epochs of {published.minutes_per_epoch:g} minutes")
    if required:
        click.echo(f"# Size: {required.parameters:,} parameters with {classes} labels")
        click.echo(f"# Work: {required.flops / 1e9:.3g} GFLOPs to classify a video of {MAX_FRAMES} frames")
    click.echo(entry.as_yaml(), nl=False)
