"""Pydantic's errors as one line that names the key, the value and what is allowed."""

import difflib
import inspect
from collections.abc import Sequence
from itertools import islice
from typing import get_args, get_origin

from pydantic import BaseModel, ValidationError

from models.errors import printable, quote


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """Describes the first error in one line, with the number of the others.

    Args:
        error: from validating `model`.
        model: gives the allowed keys; members of its discriminated unions differ by a literal.
    """
    # Unknown keys first: a mistyped one explains why another is missing.
    first, *others = sorted(error.errors(include_url=False), key=lambda error: error["type"] != "extra_forbidden")
    key, allowed = _locate(model, first["loc"])
    key = printable(key) if first["loc"] else ""
    value, context = quote(first["input"]), first.get("ctx", {})
    match first["type"]:
        case "extra_forbidden":
            text = f"{key} is not a setting, allowed: {', '.join(closest(key.rpartition('.')[2], allowed))}"
        case "missing":
            text = f"{key} is missing"
        case "value_error":  # raised by our validators, which name the keys within
            text = f"{key}: {context['error']}" if key else str(context["error"])
        case "union_tag_invalid":
            text = f"{key}.{_bare(context['discriminator'])} is {quote(context['tag'])}"
            text += f", allowed: {_bare(context['expected_tags'])}"
        case "union_tag_not_found":
            text = f"{key}.{_bare(context['discriminator'])} is missing"
        case "model_type" | "model_attributes_type":
            text = f"{key} is {value}, expected keys with values"
        case "not_allowed":  # raised by our types
            text = f"{key} is {value}, {first['msg']}"
        case _:
            text = f"{key} is {value}: {first['msg'][0].lower()}{first['msg'][1:].replace('valid tuple', 'list')}"
    return text + (f" (and {len(others)} more)" if others else "")


def closest(name: str, allowed: Sequence[str]) -> Sequence[str]:
    """The allowed names most similar to a wrong one; all of them where none is similar."""
    return difflib.get_close_matches(name, allowed, n=3) or allowed


def _locate(model: type[BaseModel], location: Sequence[int | str]) -> tuple[str, Sequence[str]]:
    """The dotted key as its author wrote it, and the keys that are allowed in its place."""
    keys: list[str] = []
    allowed: Sequence[str] = ()
    parts = iter(location)
    for part in parts:
        keys.append(str(part))
        allowed = list(model.model_fields)
        field = model.model_fields.get(str(part))
        if field is None:
            break
        kinds = [kind for kind in get_args(field.annotation) or [field.annotation] if inspect.isclass(kind)]
        inner = [kind for kind in kinds if issubclass(kind, BaseModel)]
        if isinstance(field.discriminator, str):
            # Pydantic adds the tag of the union's member to the location; the author wrote no such key.
            tag = next(parts, None)
            inner = [kind for kind in inner if tag in get_args(kind.model_fields[field.discriminator].annotation)]
        if get_origin(field.annotation) in (dict, tuple):
            keys.extend(map(str, islice(parts, 1)))
        if not inner:
            keys.extend(map(str, parts))
            break
        model = inner[0]
    return ".".join(keys).removesuffix(".[key]"), allowed  # of a mapping whose key is wrong, not its value


def _bare(quoted: str) -> str:
    return quoted.replace("'", "")
