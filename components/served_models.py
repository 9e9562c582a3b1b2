"""Pushed models: the folder that a model server watches, `<push directory>/<version>/saved_model.pb`."""

import json
import os
import tempfile
import zipfile
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Self

import keras
import tensorflow as tf
from google.protobuf.message import DecodeError
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from tensorflow.core.protobuf import saved_model_pb2

from components.object_stores import require_access
from models.errors import InputError, plural, printable, quote
from models.features import Level

# The file that makes a folder a SavedModel.
SAVED_MODEL = "saved_model.pb"

# The folder of a SavedModel that describes it; model servers ignore it.
EXTRA = "assets.extra"

# In EXTRA: a ModelCard.
CARD_FILE = "model_card.json"

# A JSON list of the label names. Models pushed by releases before 0.2 have a line for each name instead.
LABELS_FILE, OLD_LABELS_FILE = "labels.json", "labels.txt"

# The Keras model, which ensembles and warm starts load.
KERAS_FILE = "model.keras"


class EncoderCard(BaseModel):
    """The encoder's settings as the release that trained the model knew them."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str


class ArchitectureCard(BaseModel):
    """The model's settings as the release that trained it knew them; other releases may have other settings."""

    model_config = ConfigDict(frozen=True, extra="allow")

    encoder: EncoderCard


class ModelCard(BaseModel):
    """The content of `assets.extra/model_card.json`; older cards may lack fields with a default.

    Attributes:
        level: of the records that it was trained on.
        model_id: a hash of the weights.
        parameters: number of weights.
        experiment: name of its experiment.
        data: pattern of its shards.
        seed: of the run.
        model: its settings.
        training: the settings of its training.
        training_data: videos of the training and of the validation split.
        threshold: of the best F1 on the validation split.
        validation: scores on the validation split, with this threshold.
    """

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    level: Level
    model_id: str
    parameters: int = 0
    experiment: str = ""
    data: str = ""
    seed: int = 0
    model: ArchitectureCard
    training: dict[str, Any] = {}
    training_data: dict[str, int] = {}
    threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    validation: dict[str, float] = {}

    @classmethod
    def read(cls, folder: str) -> Self:
        """Reads the card of a SavedModel.

        Raises:
            InputError: it cannot be read, or lacks a field.
        """
        path = f"{folder}/{EXTRA}/{CARD_FILE}"
        try:
            return cls.model_validate(_read_json(path), strict=True)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            key = ".".join(map(str, first["loc"])) or "the card"
            problem = "missing" if first["type"] == "missing" else f"{quote(first['input'])}: {first['msg']}"
            raise InputError(f"{path}: {key} is {problem}") from None

    def write(self, folder: str) -> None:
        """Writes the card of a SavedModel on a disk."""
        Path(folder, EXTRA, CARD_FILE).write_text(json.dumps(self.model_dump(mode="json"), indent=1))


class Champion(NamedTuple):
    """The model that serves."""

    version: str
    folder: str
    card: ModelCard


def versions(push_directory: str) -> list[str]:
    """Complete versions, oldest first.

    Raises:
        InputError: the folder is in an object store that cannot be read.
    """
    names = [name for name in list_folder(push_directory) if is_version(name)]
    return sorted((name for name in names if tf.io.gfile.exists(f"{push_directory}/{name}/{SAVED_MODEL}")), key=int)


def is_version(name: str) -> bool:
    """Whether a folder's name is that of a version: digits 0 to 9."""
    return name.isascii() and name.isdigit()


def list_folder(push_directory: str) -> list[str]:
    """Names of all entries, complete versions or not; empty where there is no such folder.

    Raises:
        InputError: the folder is in an object store that cannot be read.
    """
    require_access(push_directory, "model")  # TensorFlow would retry for many minutes
    if not tf.io.gfile.isdir(push_directory):
        return []
    return [name.rstrip("/") for name in tf.io.gfile.listdir(push_directory)]


def find_champion(push_directory: str) -> Champion | None:
    """The newest complete version, which serves; None if there is none.

    Raises:
        InputError: its model card cannot be read, or the folder is in an object store that cannot be read.
    """
    complete = versions(push_directory)
    if not complete:
        return None
    folder = f"{push_directory}/{complete[-1]}"
    return Champion(complete[-1], folder, ModelCard.read(folder))


def find_model(path: str) -> str:
    """The folder of a SavedModel, the newest version where the path doesn't name one.

    Args:
        path: a run folder, a push directory (`<run>/serving`) or a version in it.

    Raises:
        InputError: there is no pushed model, or the store that it names cannot be read.
    """
    if "://" in path and not path.startswith("gs://"):
        raise InputError(f"{path!r}: TensorFlow reads models on disks and volumes and in gs://")
    path = path.rstrip("/")
    folder = next(
        (f"{parent}/{complete[-1]}" for parent in (f"{path}/serving", path) if (complete := versions(parent))), path
    )
    if not tf.io.gfile.exists(f"{folder}/{EXTRA}/{CARD_FILE}"):
        raise InputError(f"{path!r} holds no pushed model, expected a run's folder, its serving/ or a version in that")
    return folder


def read_label_names(folder: str) -> list[str]:
    """The names of a SavedModel's labels, in the order of their ids.

    Raises:
        InputError: they cannot be read, or are not a list of names.
    """
    path, old = f"{folder}/{EXTRA}/{LABELS_FILE}", f"{folder}/{EXTRA}/{OLD_LABELS_FILE}"
    if tf.io.gfile.exists(path) or not tf.io.gfile.exists(old):
        names = _read_json(path)
    else:
        # Not splitlines(): a name may hold other line ends, say U+2028.
        path, text = old, _read_text(old)
        names = text.removesuffix("\n").split("\n") if text else []
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise InputError(f"{path}: holds {quote(names)}, expected the names of the labels")
    return names


def load_keras_model(folder: str) -> keras.Model:
    """The Keras model beside a SavedModel; the modules of its layers must have been imported.

    Raises:
        InputError: it cannot be loaded.
    """
    path = f"{folder}/{EXTRA}/{KERAS_FILE}"
    with tempfile.TemporaryDirectory() as local:
        copy = Path(local) / KERAS_FILE
        try:
            tf.io.gfile.copy(path, str(copy))  # Keras reads local files only
            return keras.saving.load_model(copy, compile=False)
        except Exception as error:  # of zipfile, h5py, Keras or a layer, whichever reads the damaged part
            raise InputError(f"{path}: no Keras model that can be loaded: {_in_one_line(error)}") from None


def require_keras_model(folder: str) -> None:
    """Checks the Keras model beside a SavedModel before hours of work that end with loading it.

    Raises:
        InputError: it is missing, or is not a Keras model.
    """
    path = f"{folder}/{EXTRA}/{KERAS_FILE}"
    try:
        with tf.io.gfile.GFile(path, "rb") as file, zipfile.ZipFile(file) as content:
            missing = {"config.json", "model.weights.h5"} - set(content.namelist())
    except (tf.errors.OpError, zipfile.BadZipFile, OSError, ValueError) as error:
        raise InputError(f"{path}: no Keras model that can be loaded: {_in_one_line(error)}") from None
    if missing:
        raise InputError(f"{path}: no Keras model that can be loaded: {min(missing)} is missing in it")


def load_saved_model(folder: str) -> Any:
    """A SavedModel with its signatures, also from a folder whose name TensorFlow would read as a pattern.

    Raises:
        InputError: it cannot be loaded.
    """
    try:
        if "://" in folder or not set("*?[\\") & set(folder):
            return tf.saved_model.load(folder)
        with tempfile.TemporaryDirectory() as literal:
            link = Path(literal, "model")
            link.symlink_to(Path(folder).absolute())
            return tf.saved_model.load(str(link))
    except Exception as error:  # of protobuf, the file system or a restored object, whichever part is damaged
        raise InputError(f"{folder}: no SavedModel that can be loaded: {_in_one_line(error)}") from None


def check_served_model(push_directory: str) -> None:
    """Checks the files of the model that serves, if there is one: at its end a run compares its own model with it.

    Raises:
        InputError: its graph or its variables cannot be read.
    """
    if found := versions(push_directory):
        try:
            require_saved_model(f"{push_directory}/{found[-1]}")
        except InputError as error:
            raise InputError(f"{error}; the model that serves is damaged: remove or restore this version") from None


def require_saved_model(folder: str, signature: str = "") -> None:
    """Checks the files of a SavedModel before work that ends with loading it, or that is in vain without it.

    Args:
        folder: of the SavedModel.
        signature: which it must have.

    Raises:
        InputError: its graph or its variables cannot be read, or it lacks the signature.
    """
    try:
        with tf.io.gfile.GFile(f"{folder}/{SAVED_MODEL}", "rb") as file:
            graphs = saved_model_pb2.SavedModel.FromString(file.read()).meta_graphs
        if not graphs:
            raise ValueError(f"{SAVED_MODEL} holds no graph")
        tf.train.load_checkpoint(f"{folder}/variables/variables")
    except (DecodeError, ValueError, tf.errors.OpError) as error:
        raise InputError(f"{folder}: {_in_one_line(error)}") from None
    if signature and not any(signature in graph.signature_def for graph in graphs):
        raise InputError(f"{folder}: not a SavedModel of `yt8m run`: it has no signature {signature}")


def _read_json(path: str) -> Any:
    text = _read_text(path)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON: {error}") from None


def _read_text(path: str) -> str:
    if os.path.exists(path) and not os.path.isfile(path):
        raise InputError(f"{path}: is not a file")  # a pipe would be waited for
    try:
        with tf.io.gfile.GFile(path, "rb") as file:
            return file.read().decode("utf-8")
    except tf.errors.OpError as error:
        raise InputError(f"{path}: {error.message.rpartition('; ')[2]}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: byte {error.start} is not UTF-8 text") from None


def _in_one_line(error: Exception) -> str:
    text = error.message if isinstance(error, tf.errors.OpError) else str(error)
    return f"{type(error).__name__}: {printable(' '.join(text.split()))}"


def check_same_task(served: str, level: Level, names: list[str]) -> None:
    """Refuses a comparison of a served model with another one or with data of another kind.

    Args:
        served: folder of a SavedModel.
        level: of the new data or model.
        names: of its labels.

    Raises:
        InputError: the served model has another level or other labels.
    """
    card, served_names = ModelCard.read(served), read_label_names(served)
    if card.level != level or served_names != names:
        raise InputError(
            f"{served} serves a {card.level}-level model with {plural(len(served_names), 'label')}, the new model has "
            f"the {level} level and {plural(len(names), 'label')}: they cannot be compared, choose another --out"
        )
