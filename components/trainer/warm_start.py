"""The pushed model whose weights a training begins with."""

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
from models.errors import InputError
from models.features import Level
from models.settings import ModelSettings, flat


def find_start(warm_start: bool | str, push_directory: str) -> str:
    """The folder of the version to begin with, "" where none was asked for or none serves yet.

    Args:
        warm_start: whether to begin with the newest pushed model, or another one's folder (a run's, its serving/ or a
            version in that).
        push_directory: where models are pushed to.

    Raises:
        InputError: the folder holds no pushed model, or it is damaged.
    """
    try:
        if isinstance(warm_start, str):
            start = find_model(warm_start if "://" in warm_start else os.path.abspath(warm_start))
        else:
            found = newest(push_directory) if warm_start else None
            start = f"{push_directory}/{found[0]}" if found else ""
        if start:
            require_keras_model(start)
    except InputError as error:
        raise InputError(f"training.warm_start: {error}") from None
    return start


def require_same_architecture(start: str, model: ModelSettings, level: Level, names: Sequence[str]) -> None:
    """Raises InputError where the weights of a pushed model are no others' to take: names a setting that differs.

    Args:
        start: the folder of its version.
        model: of the training.
        level: that it reads.
        names: of its labels.
    """
    card, own_names = ModelCard.read(start), read_label_names(start)
    served = flat({"level": card.level, "model": card.model.model_dump()})
    wanted = flat({"level": level, "model": model.model_dump(mode="json")})
    differences = [
        f"{key} is {wanted[key]!r}, allowed with the weights of {start}: {served[key]!r}"
        for key in wanted
        if key in served and served[key] != wanted[key]
    ]
    if own_names != list(names):
        differences.append(f"the data have {len(names)} labels, {start} has other ones ({len(own_names)})")
    if differences:
        raise InputError(f"training.warm_start: {differences[0]}; set training.warm_start=false to begin anew")


def load_weights(model: keras.Model, start: str) -> None:
    """Sets the weights to those of a pushed model of the same architecture.

    Raises:
        InputError: it is damaged, or another release of the code has built it of other weights.
    """
    weights = load_keras_model(start).get_weights()
    try:
        model.set_weights(weights)
    except ValueError:
        raise InputError(
            f"training.warm_start: {start} has the settings of this experiment but other weights, those of another "
            "release: set training.warm_start=false to begin anew"
        ) from None
