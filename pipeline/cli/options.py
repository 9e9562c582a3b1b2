"""Options that several commands share."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

EXPERIMENT_FILE = click.option(
    "--experiment-file", metavar="FILE", type=click.Path(path_type=Path), help="YAML with experiments of your own."
)

# Of the commands that speak to Kubeflow Pipelines.
GROUP = click.option(
    "--kfp-experiment", "group", default="yt8m", show_default=True, help="Of Kubeflow Pipelines, which groups runs."
)
SERVICE_ACCOUNT = click.option(
    "--service-account", default="", help="Kubernetes' account of the steps (default: KFP's)."
)
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")

_ACCESS = (
    click.option(
        "--endpoint",
        envvar="KF_PIPELINES_ENDPOINT",
        show_envvar=True,
        help="Kubeflow Pipelines' address (default: the pod's cluster, else kubectl's).",
    ),
    click.option(
        "--token-file",
        envvar="KF_PIPELINES_SA_TOKEN_PATH",
        show_envvar=True,
        type=click.Path(path_type=Path),
        help="Holds a bearer token (else the variable KF_PIPELINES_TOKEN does).",
    ),
    click.option("--namespace", help="Yours, where Kubeflow Pipelines serves several users."),
)


def absolute(pattern: str | None) -> str | None:
    """A pattern that still means the same files from another folder."""
    if not pattern or "://" in pattern:
        return pattern
    above, up, rest = f"/{pattern}/".rpartition("/../")
    if up:  # the folder above is that of a link's target, not that of the link
        pattern = os.path.join(os.path.realpath(f"{above}/..".removeprefix("/")), rest)
    return os.path.abspath(pattern)


def with_access(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options of `pipeline.kubeflow.api.client.connect`."""
    for option in reversed(_ACCESS):
        command = option(command)
    return command
