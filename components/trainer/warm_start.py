"""Warm start: a training begins with the weights of a pushed model."""

import os
from collections.abc import Sequence

import keras

from components.served_models import (
    ModelCard,
    find_model,
    load_keras_model,
    newest,
    read_label_names,
    require_keras_model,
)
from models.dotted_keys import flatten
from models.errors import InputError
from models.features import Level
from models.settings import ModelSettings


def find_start(warm_start: bool | str, push_directory: str) -> str:
    """The folder of the version to begin with, "" where no warm start is asked for or no model serves yet.

    Args:
        warm_start: whether to begin with the newest pushed model, or the folder of a model: a run folder, its serving/
            or a version in that.
        push_directory: where models are pushed to.

    Raises:
        InputError: the folder holds no pushed model, or a damaged one.
    """
    try:
        if isinstance(warm_start, str):
            start = find_model(warm_start if "://" in warm_start else os.path.abspath(warm_start))
        else:
            serving = newest(push_directory) if warm_start else None
            start = f"{push_directory}/{serving[0]}" if serving else ""
        if start:
            require_keras_model(start)
    except InputError as error:
        raise InputError(f"training.warm_start: {error}") from None
    return start


def require_same_architecture(start: str, model: ModelSettings, level: Level, names: Sequence[str]) -> None:
    """Raises InputError, with a setting that differs, unless a pushed model has the architecture that is trained.

    Args:
        start: folder of the pushed model's version.
        model: settings of the model that is trained.
        level: of its records.
        names: of its labels.
    """
    card, served_names = ModelCard.read(start), read_label_names(start)
    served = flatten({"level": card.level, "model": card.model.model_dump()})
    wanted = flatten({"level": level, "model": model.model_dump(mode="json")})
    differences = [
        f"{key} is {wanted[key]!r}, allowed with the weights of {start}: {served[key]!r}"
        for key in wanted
        if key in served and served[key] != wanted[key]
    ]
    if served_names != list(names):
        differences.append(f"the data have {len(names)} labels, {start} has other labels ({len(served_names)})")
    if differences:
        raise InputError(f"training.warm_start: {differences[0]}; set training.warm_start=false to begin anew")


def load_weights(model: keras.Model, start: str) -> None:
    """Sets the weights to those of a pushed model of the same architecture.

    Raises:
        InputError: it is damaged, or a release with other layers has built it.
    """
    weights = load_keras_model(start).get_weights()
    try:
        model.set_weights(weights)
    except ValueError:
        raise InputError(
            f"training.warm_start: {start} has the settings of this experiment but other weights, those of another "
            "release: set training.warm_start=false to begin anew"
        ) from None
