"""The folder that a model server watches: `<push directory>/<version>/saved_model.pb`."""

from typing import Any

import tensorflow as tf

from components.trainer.export import read_model_card


def versions(push_directory: str) -> list[str]:
    """Complete versions, oldest first."""
    if not tf.io.gfile.isdir(push_directory):
        return []
    names = [name.rstrip("/") for name in tf.io.gfile.listdir(push_directory)]
    complete = [
        name for name in names if name.isdigit() and tf.io.gfile.exists(f"{push_directory}/{name}/saved_model.pb")
    ]
    return sorted(complete, key=int)


def newest(push_directory: str) -> tuple[str, dict[str, Any]] | None:
    """The version that serves and its model card."""
    found = versions(push_directory)
    return (found[-1], read_model_card(f"{push_directory}/{found[-1]}")) if found else None
