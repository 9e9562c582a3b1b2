"""`yt8m experiments` and `yt8m experiments show`."""

import dataclasses
import json
from pathlib import Path

import click

from models.features import MAX_FRAMES, YT8M_CLASSES
from pipeline.cli.columns import print_columns
from pipeline.cli.options import AS_JSON, EXPERIMENT_FILE


@click.group(invoke_without_command=True)
@click.option("--table", type=int, metavar="N", help="Those of one of the thesis' tables only.")
@click.option("--encoder", metavar="NAME", help="Those of one encoder only, say netvlad.")
@AS_JSON
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
    print_columns(rows)


@experiments.command()
@click.argument("name")
@click.option(
    "--classes", type=click.IntRange(min=1), default=YT8M_CLASSES, show_default=True, help="Number of labels."
)
@AS_JSON
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
