"""The search space of an experiment: its own, or that of its encoder."""

from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Any

import yaml
from pydantic import TypeAdapter

from models.settings import ModelSettings
from tuner.settings import AnyParameter, Choice, Space, TuneSettings

# The entry of spaces.yaml that all encoders share.
ALL = "all"


def search_space(settings: TuneSettings, model: ModelSettings) -> Space:
    """The space of the experiment, else that of its encoder in `spaces.yaml`; empty for a model without layers.

    Example:
        >>> model = ModelSettings.model_validate({"encoder": {"name": "dbof", "clusters": 512}})
        >>> list(search_space(TuneSettings(), model))[:2]
        ['model.encoder.clusters', 'model.hidden_units']
    """
    spaces = _spaces()
    own = spaces.get(model.encoder.name)
    if settings.space or own is None:
        return settings.space
    # A model with settings of its gates needs gates, so they are not searched.
    fixed = {"model.context_gating"} if model.gate_batch_norm or model.gate_without_diagonal else set()
    return {key: parameter for key, parameter in {**own, **spaces[ALL]}.items() if key not in fixed}


def extreme_values(space: Space) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields what to check before a search: each parameter at both ends of its range, or at each of its choices.

    Args:
        space: of the search.

    Yields:
        The parameter's key, and values by key: its own, and those of the parameters that its `when` names.
    """
    for key, parameter in space.items():
        for value in parameter.values if isinstance(parameter, Choice) else (parameter.min, parameter.max):
            yield key, {**_conditions(space, key), key: value}


def _conditions(space: Space, key: str) -> dict[str, Any]:
    conditions: dict[str, Any] = {}
    for parent, values in space[key].when.items():
        conditions |= {**_conditions(space, parent), parent: values[0]}
    return conditions


@cache
def _spaces() -> dict[str, dict[str, AnyParameter]]:
    text = resources.files("tuner").joinpath("spaces.yaml").read_text("utf-8")
    return TypeAdapter(dict[str, dict[str, AnyParameter]]).validate_python(yaml.safe_load(text))
