"""Options that several commands share."""

import os
from pathlib import Path

import click

EXPERIMENT_FILE = click.option(
    "--experiment-file", metavar="FILE", type=click.Path(path_type=Path), help="YAML with experiments of your own."
)


def absolute(pattern: str | None) -> str | None:
    """A pattern that still means the same files from another folder."""
    return os.path.abspath(pattern) if pattern and "://" not in pattern else pattern
