"""The options that make a package, for `yt8m compile` and the commands that send one."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.options import EXPERIMENT_FILE, SEED, TUNE, Command, set_option, with_options, with_split
from pipeline.cli.quiet import stderr_to

if TYPE_CHECKING:
    from pipeline.kubeflow.api.submit import Package

_NEEDED = ("cluster", "data", "experiment")

_OPTIONS = (
    click.option("--cluster", type=click.Path(path_type=Path), help="YAML with the cluster's settings."),
    click.option("--data", help="Raw shards as the steps see them: on a volume, gs:// or s3://."),
    click.option("--experiment", metavar="NAME", help="See `yt8m experiments`."),
    EXPERIMENT_FILE,
    with_split,
    SEED,
    set_option("Any setting, cluster.KEY too."),
    TUNE,
    click.option("--hyperparameters", metavar="URI", help="Train with what a search found: its artifact in the store."),
)

PACKAGE = click.option(
    "--package",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Take this one; --data, --experiment and --set are then the run's parameters.",
)


def with_package_options(command: Command) -> Command:
    """Adds the options of `compiled`."""
    return with_options(command, *_OPTIONS)


def compiled(options: Mapping[str, Any]) -> str:
    """The package that the options ask for, linted.

    Raises:
        InputError: settings that are wrong or that the cluster could not read.
    """
    for name in _NEEDED:
        if options[name] is None:
            raise click.UsageError(f"Missing option '--{name}'.")
    from pipeline.kubeflow.compile.settings import read_cluster

    of_cluster = [override for override in options["overrides"] if override.startswith("cluster.")]
    cluster = read_cluster(options["cluster"], of_cluster)
    given = _run_parameters(options)
    with stderr_to(Path("/dev/null")):  # TensorFlow says that it starts
        from pipeline.kubeflow.compile.lint import lint
        from pipeline.kubeflow.compile.package import compile_package

        package = compile_package(cluster, given["data"], given["experiment"], json.loads(given["overrides"]))
    if problems := lint(package):
        raise click.ClickException("the package would not run: " + "; ".join(problems))
    if not cluster.work_directory:
        click.echo(
            "no resume: cluster.work_directory is not set, so a killed training starts from the beginning", err=True
        )
    return package


def package_from_options(options: Mapping[str, Any]) -> "Package":
    """The package of `--package` with the parameters that the options give, or the one that they compile.

    Raises:
        InputError: the file is no package, or settings are wrong.
    """
    from pipeline.files.yaml_text import read_text
    from pipeline.kubeflow.api.submit import Package

    if options["package"] is None:
        return Package.parse(compiled(options), "package")
    if options["cluster"] or any(override.startswith("cluster.") for override in options["overrides"]):
        raise click.UsageError("--package is compiled, so --cluster and --set cluster.KEY would change nothing")
    package = Package.parse(read_text("--package", options["package"], "a compiled package"), str(options["package"]))
    given = _run_parameters(options)
    if own := json.loads(given.pop("overrides")):
        given["overrides"] = json.dumps([*json.loads(package.parameters.get("overrides") or "[]"), *own])
    return package.given(given)


def _run_parameters(options: Mapping[str, Any]) -> dict[str, str]:
    from pipeline.experiments import catalogue, find_experiment

    settings = {
        "data.test_data": options["test_data"],
        "data.split": options["split"],
        "seed": options["seed"],
        "data.vocabulary": options["vocabulary"],
        "search": options["tune"] or None,
        "hyperparameters": options["hyperparameters"],
    }
    # JSON is YAML, so a value is read as it was given.
    own = [f"{key}={json.dumps(value)}" for key, value in settings.items() if value is not None]
    own += [override for override in options["overrides"] if not override.startswith("cluster.")]
    given = {"overrides": json.dumps(own)}
    if options["data"] is not None:
        given["data"] = options["data"]
    if options["experiment"] is not None:
        chosen = find_experiment(options["experiment"], options["experiment_file"])
        # One that the image does not have travels in the package.
        given["experiment"] = chosen.name if chosen.name in catalogue() else chosen.as_yaml()
    return given
