"""The catalogue: experiments by name, read from experiments.yaml."""

import difflib
from functools import cache
from importlib import resources

import yaml
from pydantic import NonNegativeInt, ValidationError

from models.errors import InputError
from models.features import Level
from models.settings import ModelSettings, Settings, TrainingSettings
from pipeline.validation import explain

ALIASES = {"thesis-best": "netvlad-100-gated-6000-3000-dropout35"}


class Published(Settings):
    """What the thesis published for an experiment: its place in the tables and its micro F1."""

    table: NonNegativeInt
    row: NonNegativeInt
    f1_train: float
    f1_test: float


class Experiment(Settings):
    """One entry of the catalogue."""

    name: str
    level: Level
    model: ModelSettings
    training: TrainingSettings = TrainingSettings()
    published: Published | None = None


@cache
def catalogue() -> dict[str, Experiment]:
    """All experiments by name.

    Raises:
        InputError: an entry of the file is not valid; names the experiment and the key.
    """
    entries = yaml.safe_load(resources.files("pipeline").joinpath("experiments.yaml").read_text("utf-8"))
    experiments = {}
    for name, entry in entries.items():
        try:
            experiments[name] = Experiment(name=name, **entry)
        except ValidationError as error:
            raise InputError(f"experiments.yaml, {name}: {explain(error)}") from None
    return experiments


def find_experiment(name: str) -> Experiment:
    """The experiment of a name or alias.

    Raises:
        InputError: there is none; names the closest.
    """
    experiments = catalogue()
    name = ALIASES.get(name, name)
    if name not in experiments:
        close = difflib.get_close_matches(name, [*experiments, *ALIASES], n=3) or sorted(experiments)
        raise InputError(f"experiment is {name!r}, allowed: {', '.join(close)} (`yt8m experiments` lists all)")
    return experiments[name]
