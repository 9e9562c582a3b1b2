"""Options that several commands share."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from models.errors import InputError

Command = Callable[..., Any]
Option = Callable[[Command], Command]

DATA = click.option(
    "--data", required=True, help="Folder, glob or {SPAN} pattern of raw shards; local, gs:// or s3://."
)
LEVEL = click.option(
    "--level",
    type=click.Choice(["video", "frame"]),
    required=True,
    help="What a record holds: the means over a video's frames (video), or all frames (frame).",
)
SEED = click.option("--seed", type=int, help="Seed of the split, the weights and the order of training (default 0).")

EXPERIMENT_FILE = click.option(
    "--experiment-file", metavar="FILE", type=click.Path(path_type=Path), help="YAML with your own experiments."
)
TUNE = click.option(
    "--tune", is_flag=True, help="Search hyperparameters before training (in the experiment's space or its encoder's)."
)
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")

# Of the commands that use Kubeflow Pipelines.
GROUP = click.option(
    "--kfp-experiment",
    "group",
    default="yt8m",
    show_default=True,
    help="Experiment of Kubeflow Pipelines: a group of runs in its UI.",
)
SERVICE_ACCOUNT = click.option(
    "--service-account", default="", help="Kubernetes service account of the steps (default: KFP's)."
)


def _refuse_empty(_: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """Refuses an option that is given as "", say by an unset variable, which would mean that it is left out."""
    if value == "":
        raise InputError(f"{option.opts[0]} is empty, expected a folder, a file or a glob")
    return value


_SPLIT = (
    click.option(
        "--validation-data",
        callback=_refuse_empty,
        help="Pattern of shards that all go to the validation split.",
    ),
    click.option("--test-data", callback=_refuse_empty, help="Pattern of shards that all go to the test split."),
    click.option(
        "--split",
        help="How --data are split: file:80/10/10 (default), id:80/10/10, thesis-video or thesis-frame; a split with "
        "data of its own has no share, say file:90/10.",
    ),
    click.option("--vocabulary", help="CSV with Index and Name (default: vocabulary.csv beside the shards)."),
)

_ACCESS = (
    click.option(
        "--endpoint",
        envvar="KF_PIPELINES_ENDPOINT",
        show_envvar=True,
        help="Address of Kubeflow Pipelines (default: the pod's cluster, else kubectl's).",
    ),
    click.option(
        "--token-file",
        envvar="KF_PIPELINES_SA_TOKEN_PATH",
        show_envvar=True,
        type=click.Path(path_type=Path),
        help="File with a bearer token (default: the token in the variable KF_PIPELINES_TOKEN).",
    ),
    click.option("--namespace", help="Your namespace, where Kubeflow Pipelines has several users."),
)


def set_option(help: str) -> Option:
    """`--set`, once or several times."""
    return click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help=help)


def out_folder(default: str) -> Option:
    """`--out` of a command that writes a folder."""
    kind = click.Path(path_type=Path)
    return click.option("--out", type=kind, default=default, show_default=True, help="Folder to write.")


def with_options(command: Command, *options: Option) -> Command:
    """Adds options, which `--help` lists in this order."""
    for option in reversed(options):
        command = option(command)
    return command


def with_split(command: Command) -> Command:
    """Adds the options that say how records are split and what their labels are called."""
    return with_options(command, *_SPLIT)


def with_access(command: Command) -> Command:
    """Adds the options of `pipeline.kubeflow.api.client.connect`."""
    return with_options(command, *_ACCESS)


def data_settings(
    data: str, validation_data: str | None, test_data: str | None, split: str | None, vocabulary: str | None
) -> dict[str, str | None]:
    """Settings of data on this machine by dotted key, from `DATA` and `with_split`; None: not given."""
    return {
        "data.pattern": absolute(data),
        "data.validation_data": absolute(validation_data),
        "data.test_data": absolute(test_data),
        "data.split": split,
        "data.vocabulary": absolute(vocabulary),
    }


def absolute(pattern: str | None) -> str | None:
    """An absolute pattern: it means the same files from any working directory."""
    if not pattern or "://" in pattern:
        return pattern
    above, up, rest = f"/{pattern}/".rpartition("/../")
    if up:  # `..` after a link is the parent of its target
        pattern = os.path.join(os.path.realpath(f"{above}/..".removeprefix("/")), rest)
    return os.path.abspath(pattern)
