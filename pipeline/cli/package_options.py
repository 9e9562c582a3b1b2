"""Options that define a package, for `yt8m compile` and the commands that upload one."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from models.errors import InputError
from pipeline.cli.options import EXPERIMENT_FILE, SEED, TUNE, Command, set_option, with_options, with_split
from pipeline.cli.quiet import stderr_to

if TYPE_CHECKING:
    from pipeline.kubeflow.api.package import Package

_NEEDED = ("cluster", "data", "experiment")

_OPTIONS = (
    click.option("--cluster", type=click.Path(path_type=Path), help="YAML with the settings of the cluster."),
    click.option("--data", help="Raw shards, at their path in the cluster: on a volume, gs:// or s3://."),
    click.option("--experiment", metavar="NAME", help="See `yt8m experiments`."),
    EXPERIMENT_FILE,
    with_split,
    SEED,
    set_option("Any setting, also cluster.KEY; repeatable."),
    TUNE,
    click.option("--hyperparameters", metavar="URI", help="Train with the result of a search: URI of its artifact."),
)

PACKAGE = click.option(
    "--package",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Use this compiled package; --data, --experiment and --set become parameters of the run.",
)


def with_package_options(command: Command) -> Command:
    """Adds the options of `compiled`."""
    return with_options(command, *_OPTIONS)


def compiled(options: Mapping[str, Any]) -> str:
    """Compiles and lints the package that the options define.

    Raises:
        InputError: settings are wrong, or the cluster could not read them.
    """
    for name in _NEEDED:
        if options[name] is None:
            raise click.UsageError(f"Missing option '--{name}'.")
    from pipeline.kubeflow.compile.settings import read_cluster

    of_cluster = [override for override in options["overrides"] if override.startswith("cluster.")]
    cluster = read_cluster(options["cluster"], of_cluster)
    parameters = _run_parameters(options)
    with stderr_to(Path("/dev/null")):  # TensorFlow logs when it starts
        from pipeline.kubeflow.compile.lint import lint
        from pipeline.kubeflow.compile.package import compile_package, large_artifacts

        overrides = json.loads(parameters["overrides"])
        package = compile_package(cluster, parameters["data"], parameters["experiment"], overrides)
    if problems := lint(package):
        raise click.ClickException("the package would not run: " + "; ".join(problems))
    if not cluster.work_directory:
        click.echo(
            "no resume: cluster.work_directory is not set, so a killed training starts from the beginning", err=True
        )
    if cluster.artifacts == "store":
        names = ", ".join(large_artifacts(package))
        click.echo(
            f"through the store: Kubeflow Pipelines copies {names} to {cluster.pipeline_root}, and from there to each "
            "step that reads them; with cluster.artifacts: volume they stay where they are written",
            err=True,
        )
    return package


def package_from_options(options: Mapping[str, Any]) -> "Package":
    """The package of `--package` with the parameters of the options, or the one that the options define.

    Raises:
        InputError: the file is not a package, or settings are wrong.
    """
    from pipeline.files.yaml_text import read_text
    from pipeline.kubeflow.api.package import Package
    from pipeline.kubeflow.compile.lint import lint

    if options["package"] is None:
        return Package.parse(compiled(options), "package")
    if options["cluster"] or any(override.startswith("cluster.") for override in options["overrides"]):
        raise click.UsageError("--package is compiled, so --cluster and --set cluster.KEY would change nothing")
    package = Package.parse(read_text("--package", options["package"], "a compiled package"), str(options["package"]))
    if problems := lint(package.text):
        raise InputError(f"--package is {str(options['package'])!r}, which would not run: {'; '.join(problems)}")
    parameters = _run_parameters(options)
    if overrides := json.loads(parameters.pop("overrides")):
        parameters["overrides"] = json.dumps([*json.loads(package.parameters.get("overrides") or "[]"), *overrides])
    return package.with_parameters(parameters)


def _run_parameters(options: Mapping[str, Any]) -> dict[str, str]:
    """Parameters of a run by name, from the options that are set."""
    from pipeline.experiments import catalogue, find_experiment

    settings = {
        "data.validation_data": options["validation_data"],
        "data.test_data": options["test_data"],
        "data.split": options["split"],
        "seed": options["seed"],
        "data.vocabulary": options["vocabulary"],
        "search": options["tune"] or None,
        "hyperparameters": options["hyperparameters"],
    }
    # JSON is YAML, so every value keeps its type.
    overrides = [f"{key}={json.dumps(value)}" for key, value in settings.items() if value is not None]
    overrides += [override for override in options["overrides"] if not override.startswith("cluster.")]
    parameters = {"overrides": json.dumps(overrides)}
    if options["data"] is not None:
        parameters["data"] = options["data"]
    if options["experiment"] is not None:
        chosen = find_experiment(options["experiment"], options["experiment_file"])
        # The package carries an experiment that the image does not have.
        parameters["experiment"] = chosen.name if chosen.name in catalogue() else chosen.as_yaml()
    return parameters
