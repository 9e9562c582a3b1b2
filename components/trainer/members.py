"""The pushed models that an ensemble averages."""

import os
from collections.abc import Sequence

from components.served_models import ModelCard, find_model, read_label_names, require_keras_model
from models.errors import InputError
from models.features import Level


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
    return [_find_member(path if "://" in path else os.path.abspath(path), level, names) for path in paths]


def _find_member(path: str, level: Level, names: Sequence[str]) -> str:
    def refuse(reason: str) -> InputError:
        return InputError(f"model.encoder.members: {path!r} {reason}")

    try:
        folder = find_model(path)
        card, labels = ModelCard.read(folder), read_label_names(folder)
        require_keras_model(folder)
    except InputError as error:
        raise InputError(f"model.encoder.members: {error}") from None
    if card.level != level:
        raise refuse(f"reads {card.level}-level records, the ensemble {level}-level ones (--set level={card.level})")
    if labels != list(names):
        raise refuse(f"has other labels ({len(labels)}, the data have {len(names)})")
    return folder
