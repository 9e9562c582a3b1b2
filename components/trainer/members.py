"""The pushed models whose probabilities are averaged: the members of an ensemble, and teachers."""

import os
from collections.abc import Callable, Sequence
from functools import partial

from components.served_models import (
    ModelCard,
    find_model,
    read_label_names,
    require_keras_model,
    require_saved_model,
)
from models.errors import InputError
from models.features import Level

# The signature by which teachers predict.
PACKED_EXAMPLES = "packed_examples"


def find_members(paths: Sequence[str], level: Level, names: Sequence[str]) -> list[str]:
    """The folders of the members' versions, the newest where a path doesn't name one.

    Args:
        paths: run folders, push directories (`<run>/serving`) or versions in them.
        level: of the ensemble.
        names: of its labels.

    Raises:
        InputError: there are fewer than two members, or a member is missing or damaged, or has another level or other
            labels.
    """
    if len(paths) < 2:
        raise InputError(
            f"model.encoder.members is {list(paths)}: an ensemble needs two models or more, say "
            "--set model.encoder.members='[runs/a, runs/b]'"
        )
    find = partial(_find, "model.encoder.members", "the ensemble", require_keras_model, level, names)
    return [find(path) for path in paths]


def find_teachers(paths: Sequence[str], level: Level, names: Sequence[str]) -> list[str]:
    """The folders of the teachers' versions, the newest where a path doesn't name one.

    Args:
        paths: run folders, push directories (`<run>/serving`) or versions in them.
        level: of the records that they will predict.
        names: of the labels.

    Raises:
        InputError: a teacher is missing or damaged, or has another level or other labels.
    """
    check = partial(require_saved_model, signature=PACKED_EXAMPLES)
    find = partial(_find, "training.teachers", "the run", check, level, names)
    return [find(path) for path in paths]


def model_ids(folders: Sequence[str]) -> list[str]:
    """The hashes of the weights of pushed models.

    Raises:
        InputError: a model card cannot be read.
    """
    return [ModelCard.read(folder).model_id for folder in folders]


def _find(
    setting: str, reader: str, check: Callable[[str], None], level: Level, names: Sequence[str], path: str
) -> str:
    def refuse(reason: str) -> InputError:
        return InputError(f"{setting}: {path!r} {reason}")

    path = path if "://" in path else os.path.abspath(path)
    try:
        folder = find_model(path)
        card, labels = ModelCard.read(folder), read_label_names(folder)
        check(folder)
    except InputError as error:
        raise InputError(f"{setting}: {error}") from None
    if card.level != level:
        raise refuse(f"reads {card.level}-level records, {reader} {level}-level ones (--set level={card.level})")
    if labels != list(names):
        raise refuse(f"has other labels ({len(labels)}, the data have {len(names)})")
    return folder
