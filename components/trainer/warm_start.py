"""Warm start: a training begins with the weights of a pushed model."""

import os
from collections.abc import Sequence

import keras

from components.served_models import (
    ModelCard,
    find_champion,
    find_model,
    load_keras_model,
    read_label_names,
    require_keras_model,
)
from models.dotted_keys import flatten
from models.errors import InputError, plural
from models.features import Level
from models.settings import ModelSettings

_WITHOUT = "set training.warm_start=false to begin with random weights"


def find_initial_model(warm_start: bool | str, push_directory: str) -> str:
    """The folder of the model whose weights a training begins with.

    Args:
        warm_start: whether to begin with the newest pushed model, or the folder of a model: a run folder, its serving/
            or a version in that.
        push_directory: where models are pushed to.

    Returns:
        Folder of a version; "" without a warm start, or if no model serves yet.

    Raises:
        InputError: the folder holds no pushed model, or a damaged one.
    """
    try:
        if isinstance(warm_start, str):
            initial_model = find_model(warm_start if "://" in warm_start else os.path.abspath(warm_start))
        else:
            champion = find_champion(push_directory) if warm_start else None
            initial_model = champion.folder if champion else ""
        if initial_model:
            require_keras_model(initial_model)
    except InputError as error:
        raise InputError(f"training.warm_start: {error}") from None
    return initial_model


def require_same_architecture(initial_model: str, model: ModelSettings, level: Level, names: Sequence[str]) -> None:
    """Raises InputError, with a setting that differs, unless a pushed model has the architecture that is trained.

    Args:
        initial_model: folder of the pushed model's version.
        model: settings of the model that is trained.
        level: of its records.
        names: of its labels.
    """
    card, served_names = ModelCard.read(initial_model), read_label_names(initial_model)
    served = flatten({"level": card.level, "model": card.model.model_dump()})
    wanted = flatten({"level": level, "model": model.model_dump(mode="json")})
    differences = [
        f"{key} is {wanted[key]!r}, allowed with the weights of {initial_model}: {served[key]!r}"
        for key in wanted
        if key in served and served[key] != wanted[key]
    ]
    if served_names != list(names):
        labels = plural(len(names), "label")
        differences.append(f"the data have {labels}, {initial_model} has other labels ({len(served_names)})")
    if differences:
        raise InputError(f"training.warm_start: {differences[0]}; {_WITHOUT}")


def load_weights(model: keras.Model, initial_model: str) -> None:
    """Sets the weights to those of a pushed model of the same architecture.

    Raises:
        InputError: it is damaged, or a release with other layers has built it.
    """
    weights = load_keras_model(initial_model).get_weights()
    try:
        model.set_weights(weights)
    except ValueError:
        raise InputError(
            f"training.warm_start: {initial_model} has the settings of this experiment, but another release built its "
            f"layers, so the weights do not fit: {_WITHOUT}"
        ) from None
