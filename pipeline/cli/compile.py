"""`yt8m compile` and `yt8m lint`."""

from pathlib import Path
from typing import Any

import click

from models.errors import InputError, plural
from pipeline.cli.package_options import compiled, with_package_options
from pipeline.files.disk import writing
from pipeline.files.output_file import open_output


@click.command()
@with_package_options
@click.option(
    "--out", type=click.Path(path_type=Path), default="package.yaml", show_default=True, help="File to write."
)
def compile(out: Path, **options: Any) -> None:
    """Write the pipeline as a package for Kubeflow Pipelines.

    Data, experiment and settings become the default parameters of its runs.
    """
    inputs = [path for path in (options["cluster"], options["experiment_file"]) if path]
    with writing(out), open_output(out, inputs) as file:
        file.write(compiled(options))
    click.echo(f"package: {out}")
    lost = "no retry: Kubeflow Pipelines retries no step whose node is lost; submit again, finished steps are cached"
    click.echo(lost, err=True)


@click.command()
@click.argument("package", type=click.Path(path_type=Path, exists=True, dir_okay=False))
def lint(package: Path) -> None:
    """Check a package for what Kubeflow Pipelines would refuse or run wrongly."""
    from pipeline.files.yaml_text import read_text
    from pipeline.kubeflow.compile.lint import lint as problems_of

    if problems := problems_of(read_text("PACKAGE", package, "a compiled package")):
        for problem in problems:
            click.echo(problem, err=True)
        raise InputError(f"{package}: {plural(len(problems), 'problem')}")
    click.echo(f"{package}: no problems")
