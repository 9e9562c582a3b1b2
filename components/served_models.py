"""The folder that a model server watches, `<push directory>/<version>/saved_model.pb`, and what lies there."""

import json
import tempfile
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from components.object_stores import require_access
from models.errors import InputError
from models.features import Level

# The folder of a SavedModel with all that explains it; model servers ignore it.
EXTRA = "assets.extra"

# In it: a JSON list of the label names. Models pushed by releases before 0.2 have a line for each name instead.
LABELS_FILE, OLD_LABELS_FILE = "labels.json", "labels.txt"


def versions(push_directory: str) -> list[str]:
    """Complete versions, oldest first.

    Raises:
        InputError: the folder is in an object store that cannot be read.
    """
    require_access(push_directory, "model")  # TensorFlow would try again for many minutes
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


def find_model(path: str) -> str:
    """The folder of a SavedModel, the newest version where the path doesn't name one.

    Args:
        path: a run's folder, a push directory (`<run>/serving`) or a version in it.

    Raises:
        InputError: there is no pushed model, or the store that it names cannot be read.
    """
    if "://" in path and not path.startswith("gs://"):
        raise InputError(f"{path!r}: TensorFlow reads models on disks and volumes and in gs://")
    path = path.rstrip("/")
    folder = next(
        (f"{parent}/{found[-1]}" for parent in (f"{path}/serving", path) if (found := versions(parent))), path
    )
    if not tf.io.gfile.exists(f"{folder}/{EXTRA}/model_card.json"):
        raise InputError(f"{path!r} holds no pushed model, expected a run's folder, its serving/ or a version in that")
    return folder


def read_model_card(folder: str) -> dict[str, Any]:
    """What `assets.extra/model_card.json` of a SavedModel says."""
    with tf.io.gfile.GFile(f"{folder}/{EXTRA}/model_card.json") as file:
        return json.load(file)


def read_label_names(folder: str) -> list[str]:
    """The names of a SavedModel's labels, in the order of their ids."""
    path = f"{folder}/{EXTRA}/{LABELS_FILE}"
    if tf.io.gfile.exists(path):
        with tf.io.gfile.GFile(path) as file:
            return json.load(file)
    with tf.io.gfile.GFile(f"{folder}/{EXTRA}/{OLD_LABELS_FILE}") as file:
        # Not splitlines(): a name may hold what ends a line elsewhere, say U+2028.
        return file.read().removesuffix("\n").split("\n")


def load_saved_model(folder: str) -> Any:
    """What `tf.saved_model.load` gives, also for a folder whose name TensorFlow would read as a pattern."""
    if "://" in folder or not set("*?[\\") & set(folder):
        return tf.saved_model.load(folder)
    with tempfile.TemporaryDirectory() as plain:
        link = Path(plain, "model")
        link.symlink_to(Path(folder).absolute())
        return tf.saved_model.load(str(link))


def load_keras_model(folder: str) -> keras.Model:
    """The Keras model beside a SavedModel; the modules of its layers must have been imported."""
    with tempfile.TemporaryDirectory() as local:
        copy = Path(local) / "model.keras"
        tf.io.gfile.copy(f"{folder}/{EXTRA}/model.keras", str(copy))  # Keras reads local files only
        return keras.saving.load_model(copy, compile=False)


def check_same_task(served: str, level: Level, names: list[str]) -> None:
    """Refuses what a served model cannot be compared with.

    Args:
        served: folder of a SavedModel.
        level: of the new data or model.
        names: of its labels.

    Raises:
        InputError: the served model has another level or other labels.
    """
    card, served_names = read_model_card(served), read_label_names(served)
    if card["level"] != level or served_names != names:
        raise InputError(
            f"{served} serves a {card['level']}-level model with {len(served_names)} labels, the new one is of "
            f"the {level} level with {len(names)}: the two cannot be compared, choose another --out"
        )
