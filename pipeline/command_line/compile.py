"""`yt8m compile` and `yt8m lint`."""

import json
from pathlib import Path

import click

from models.errors import InputError
from pipeline.command_line.options import EXPERIMENT_FILE
from pipeline.command_line.quiet import stderr_to


@click.command()
@click.option("--cluster", required=True, type=click.Path(path_type=Path), help="YAML with the cluster's settings.")
@click.option("--data", required=True, help="Raw shards as the steps see them: on a volume, gs:// or s3://.")
@click.option("--experiment", required=True, metavar="NAME", help="See `yt8m experiments`.")
@EXPERIMENT_FILE
@click.option("--test-data", help="Pattern of shards that all go to the test split.")
@click.option("--split", help="file:80/10/10 (default), id:80/10/10, thesis-video or thesis-frame.")
@click.option("--seed", type=int, help="Of the split, the weights and the order of training (default 0).")
@click.option("--vocabulary", help="CSV with Index and Name (default: vocabulary.csv beside the shards).")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Any setting, cluster.KEY too.")
@click.option("--tune", is_flag=True, help="Search the hyperparameters first (the experiment's `tune`, see README).")
@click.option("--hyperparameters", metavar="URI", help="Train with what a search found: its artifact in the store.")
@click.option(
    "--out", type=click.Path(path_type=Path), default="package.yaml", show_default=True, help="The package to write."
)
def compile(
    cluster: Path,
    data: str,
    experiment: str,
    experiment_file: Path | None,
    test_data: str | None,
    split: str | None,
    seed: int | None,
    vocabulary: str | None,
    overrides: tuple[str, ...],
    tune: bool,
    hyperparameters: str | None,
    out: Path,
) -> None:
    """Write the pipeline as a package for Kubeflow Pipelines.

    Data, experiment and settings are the defaults of its runs' parameters.
    """
    from pipeline.experiments import catalogue, find_experiment
    from pipeline.kubeflow.settings import read_cluster

    options = {
        "data.test_data": test_data,
        "data.split": split,
        "seed": seed,
        "data.vocabulary": vocabulary,
        "search": tune or None,
        "hyperparameters": hyperparameters,
    }
    # JSON is YAML, so a value is read as it was given.
    own = [f"{key}={json.dumps(value)}" for key, value in options.items() if value is not None]
    own += [override for override in overrides if not override.startswith("cluster.")]
    chosen = find_experiment(experiment, experiment_file)
    # One that the image does not have travels in the package.
    named = chosen.name if chosen.name in catalogue() else chosen.as_yaml()
    settings = read_cluster(cluster, [override for override in overrides if override.startswith("cluster.")])
    with stderr_to(Path("/dev/null")):  # TensorFlow says that it starts
        from pipeline.kubeflow.lint import lint
        from pipeline.kubeflow.package import compile_package

        package = compile_package(settings, data, named, own)
    if problems := lint(package):
        raise click.ClickException("the package would not run: " + "; ".join(problems))
    try:
        out.write_text(package, "utf-8")
    except OSError as error:
        raise InputError(f"--out is {str(out)!r}: {error.strerror}, expected a file to write") from None
    if not settings.work_directory:
        click.echo(
            "no resume: cluster.work_directory is not set, so a killed training starts from the beginning", err=True
        )
    click.echo(f"package: {out}")


@click.command()
@click.argument("package", type=click.Path(path_type=Path, exists=True, dir_okay=False))
def lint(package: Path) -> None:
    """Say what Kubeflow Pipelines would refuse in a package, or get wrong later."""
    from pipeline.kubeflow.lint import lint as problems_of

    if problems := problems_of(package.read_text("utf-8")):
        for problem in problems:
            click.echo(problem, err=True)
        raise InputError(f"{package}: {len(problems)} problems")
    click.echo(f"{package}: nothing found")
