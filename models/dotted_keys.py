"""Dotted keys of nested dicts, such as `training.learning_rate`."""

from collections.abc import Mapping
from typing import Any

from models.errors import InputError, printable


def set_key(content: dict[str, Any], key: str, value: Any) -> None:
    """Sets the value of a dotted key in nested dicts.

    Args:
        content: is changed; missing dicts are added.
        key: names of keys, joined by dots.
        value: the new value.

    Raises:
        InputError: a part of the key names a value that is not a dict.

    Example:
        >>> content = {"training": {"max_epochs": 100}}
        >>> set_key(content, "training.max_epochs", 5)
        >>> content
        {'training': {'max_epochs': 5}}
    """
    *parents, last = key.split(".")
    for parent in parents:
        if content.get(parent) is None:  # missing, or an optional block such as `tune`
            content[parent] = {}
        content = content[parent]
        if not isinstance(content, dict):
            raise InputError(f"{printable(key)} is not a setting: {printable(parent)} has no parts")
    content[last] = value


def flatten(content: Mapping[str, Any], parents: str = "") -> dict[str, Any]:
    """The values of nested dicts by dotted keys.

    Args:
        content: nested dicts.
        parents: prefix of all keys, ending with a dot.

    Example:
        >>> flatten({"training": {"max_epochs": 5, "patience": 3}})
        {'training.max_epochs': 5, 'training.patience': 3}
    """
    values: dict[str, Any] = {}
    for key, value in content.items():
        values |= flatten(value, f"{parents}{key}.") if isinstance(value, Mapping) else {f"{parents}{key}": value}
    return values
