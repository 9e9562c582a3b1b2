"""Experiments by name: the catalogue in experiments.yaml, and a user's own in a file of the same form."""

import re
from collections.abc import Mapping
from copy import deepcopy
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import PositiveFloat, PositiveInt, ValidationError, model_validator

from models.dotted_keys import set_key
from models.errors import InputError, printable, quote
from models.features import Level, TrainingLevel, record_level
from models.settings import (
    AverageSettings,
    ModelSettings,
    NeighboursSettings,
    RecurrentSettings,
    Settings,
    Share,
    WholeModelSettings,
)
from models.training_settings import TrainingSettings
from pipeline.files.yaml_text import load_yaml, read_yaml
from pipeline.validation import closest, explain
from tuner.settings import TuneSettings
from tuner.space import extreme_values

ALIASES = {"thesis-best": "netvlad-100-gated-6000-3000-dropout35"}

# The encoder decides which settings there are, the search sets the epochs, trials start from random weights and learn
# from the same teachers.
UNTUNABLE = ("model.encoder.name", "training.max_epochs", "training.warm_start", "training.teachers")

# Also the name of a run folder.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Published(Settings):
    """What the thesis published for an experiment: its place in the tables, micro F1 and training time."""

    table: PositiveInt
    row: PositiveInt
    f1_train: Share
    f1_test: Share
    precision: Share | None = None
    recall: Share | None = None
    epochs: PositiveInt
    minutes_per_epoch: PositiveFloat


class Recipe(Settings):
    """What is trained, how, and on which records."""

    level: TrainingLevel
    model: ModelSettings
    training: TrainingSettings = TrainingSettings()
    tune: TuneSettings | None = None
    published: Published | None = None

    @property
    def record_level(self) -> Level:
        """The level of the records: rated segments lie in frame-level ones."""
        return record_level(self.level)

    @property
    def rated(self) -> bool:
        """Whether rated segments are learned and scored, instead of videos."""
        return self.level == "segment"

    @model_validator(mode="after")
    def _segments_are_read_whole_and_rated_by_people(self) -> Self:
        if not self.rated:
            return self
        encoder, training = self.model.encoder, self.training
        if isinstance(encoder, WholeModelSettings):
            raise ValueError(f"model.encoder.name is {encoder.name!r}, allowed with level: segment: others")
        if training.frame_sampling != "all":
            found = f"training.frame_sampling is {training.frame_sampling!r}"
            raise ValueError(f"{found}, allowed with level: segment, whose examples have five frames: all")
        if training.teachers:
            raise ValueError("training.teachers is set, allowed with level: segment: none (they predict whole videos)")
        return self

    @model_validator(mode="after")
    def _encoder_has_its_frames(self) -> Self:
        encoder = self.model.encoder
        if self.level == "video" and not isinstance(encoder, AverageSettings | WholeModelSettings):
            needs = "which needs level: frame; level video allows: average, neighbours, ensemble"
            raise ValueError(f"model.encoder.name is {encoder.name!r}, {needs}")
        return self

    @model_validator(mode="after")
    def _frame_sampling_fits_the_encoder(self) -> Self:
        sampling, encoder = self.training.frame_sampling, self.model.encoder
        if sampling != "all" and (self.level == "video" or isinstance(encoder, AverageSettings | NeighboursSettings)):
            raise ValueError(
                f"training.frame_sampling is {sampling!r}, allowed with encoder {encoder.name}, which reads means: all"
            )
        return self

    @model_validator(mode="after")
    def _whole_models_have_no_warm_start(self) -> Self:
        if self.training.warm_start and isinstance(self.model.encoder, WholeModelSettings):
            start, name = self.training.warm_start, self.model.encoder.name
            raise ValueError(f"training.warm_start is {quote(start)}, allowed with encoder {name}: false")
        return self

    @model_validator(mode="after")
    def _whole_models_have_no_teachers(self) -> Self:
        if self.training.teachers and isinstance(self.model.encoder, WholeModelSettings):
            name = self.model.encoder.name
            raise ValueError(f"training.teachers is set, allowed with encoder {name}: none (it is fitted to labels)")
        return self

    @model_validator(mode="after")
    def _recurrent_layers_are_not_compiled(self) -> Self:
        if self.training.jit_compile is True and isinstance(self.model.encoder, RecurrentSettings):
            # On a GPU they train with cuDNN, whose operation XLA cannot compile.
            name = self.model.encoder.name
            raise ValueError(f"training.jit_compile is true, allowed with encoder {name}: false")
        return self

    @model_validator(mode="after")
    def _every_value_is_a_setting(self) -> Self:
        content = self.model_dump(mode="json", include={"level", "model", "training"})
        for key, values in extreme_values(self.tune.space if self.tune else {}):
            if key in UNTUNABLE or key.partition(".")[0] not in ("model", "training"):
                allowed = f"settings of model and training but {', '.join(UNTUNABLE)}"
                raise ValueError(f"tune.space.{key} cannot be tuned, allowed: {allowed}")
            candidate = deepcopy(content)
            for name, value in values.items():
                set_key(candidate, name, value)
            try:
                Recipe.model_validate(candidate)
            except ValidationError as error:
                raise ValueError(f"tune.space.{key}: {explain(error, Recipe)}") from None
        return self


class Experiment(Recipe):
    """One entry of the catalogue or of a user's file."""

    name: str

    def as_yaml(self) -> str:
        """All settings as an entry of an experiment file, without the published results."""
        left_out = {"name", "published"} | ({"tune"} if self.tune is None else set())
        content = self.model_dump(mode="json", exclude=left_out)
        return yaml.dump({self.name: content}, Dumper=_ListsOnOneLine, sort_keys=False)


def catalogue(file: Path | None = None) -> dict[str, Experiment]:
    """All experiments by name, in the order of the thesis' tables; those of a user's file follow.

    Args:
        file: YAML, a mapping from names to entries as in experiments.yaml. `base: NAME` makes an entry start from an
            experiment of the catalogue or an earlier one of the file: mappings are merged key by key, other values and
            an encoder of another name replace the base's; `published` is not inherited.

    Raises:
        InputError: names the file, the experiment, the key, the value and what is allowed.
    """
    experiments = _shipped()
    if file is None:
        return experiments
    return experiments | _read(str(file), read_yaml("--experiment-file", file), experiments)


def find_experiment(name: str, file: Path | None = None) -> Experiment:
    """Finds an experiment by its name or alias.

    Args:
        name: of the catalogue or of the file.
        file: a user's own experiments, see `catalogue`.

    Raises:
        InputError: no experiment has the name (lists the closest names), or the file is not valid.
    """
    experiments = catalogue(file)
    experiment = experiments.get(ALIASES.get(name, name))
    if experiment is None:
        close = ", ".join(closest(name, [*experiments, *ALIASES])[:3])
        raise InputError(f"experiment is {quote(name)}, allowed: {close}, ... (`yt8m experiments` lists all)")
    return experiment


def parse_experiment(text: str) -> Experiment:
    """Reads the name of an experiment, or an entry of an experiment file.

    Args:
        text: a name of the catalogue, or YAML as `as_yaml` writes it.

    Raises:
        InputError: no experiment has the name, or the entry is not valid.
    """
    if ":" not in text:  # a name has none
        return find_experiment(text)
    entries = list(_read("experiment", load_yaml("experiment", text), _shipped()).values())
    if len(entries) != 1:
        raise InputError(f"experiment is {quote(text)}, expected a name or one entry of an experiment file")
    return entries[0]


def list_experiments(
    file: Path | None = None, table: int | None = None, encoder: str | None = None
) -> list[Experiment]:
    """The experiments of one of the thesis' tables, of one encoder, or of both; None stands for any.

    Args:
        file: a user's own experiments, see `catalogue`; they are in no table.
        table: number of a table.
        encoder: name of an encoder.

    Raises:
        InputError: the file is not valid, or no experiment has the table or encoder (lists those that exist).
    """
    entries = list(catalogue(file).values())
    tables = sorted({entry.published.table for entry in entries if entry.published})
    encoders = sorted({entry.model.encoder.name for entry in entries})
    if table is not None and table not in tables:
        raise InputError(f"--table is {table}, allowed: {', '.join(map(str, tables))}")
    if encoder is not None and encoder not in encoders:
        raise InputError(f"--encoder is {quote(encoder)}, allowed: {', '.join(encoders)}")
    if table is not None:
        entries = [entry for entry in entries if entry.published and entry.published.table == table]
    return [entry for entry in entries if encoder in (None, entry.model.encoder.name)]


@cache
def _shipped() -> dict[str, Experiment]:
    text = resources.files("pipeline").joinpath("experiments.yaml").read_text("utf-8")
    return _read("experiments.yaml", load_yaml("experiments.yaml", text), {})


def _read(source: str, entries: Any, known: Mapping[str, Experiment]) -> dict[str, Experiment]:
    """The experiments of an experiment file, by name; `known` ones may be bases, and their names are not free."""
    if not isinstance(entries, dict):
        raise InputError(f"{source}: holds {quote(entries)}, expected names of experiments with their settings")

    experiments: dict[str, Experiment] = {}
    for name, entry in entries.items():
        place = f"{source}, {printable(name)}"
        if not isinstance(name, str) or not NAME.fullmatch(name):
            allowed = "1 to 100 letters, digits and . _ - (not first)"
            raise InputError(f"{place}: a name becomes the name of a folder, allowed: {allowed}")
        if name in known or name in ALIASES:
            raise InputError(f"{place}: the catalogue has an experiment of this name, choose another")
        if not isinstance(entry, dict):
            raise InputError(f"{place}: is {quote(entry)}, expected keys with values: level, model, training, base")
        experiments[name] = _experiment(place, name, entry, {**known, **experiments})
    return experiments


def _experiment(place: str, name: str, entry: dict[Any, Any], bases: Mapping[str, Experiment]) -> Experiment:
    allowed = ["base", *(field for field in Experiment.model_fields if field != "name")]
    for key in entry:
        if key not in allowed:
            raise InputError(
                f"{place}: {printable(key)} is not a setting, allowed: {', '.join(closest(str(key), allowed))}"
            )
    if "base" in entry:
        name_of_base = entry["base"]
        base = bases.get(ALIASES.get(name_of_base, name_of_base)) if isinstance(name_of_base, str) else None
        if base is None:
            close = ", ".join(closest(str(name_of_base), [*bases, *ALIASES])[:3])
            raise InputError(
                f"{place}: base is {quote(name_of_base)}, allowed: earlier experiments, say {close or 'none'}"
            )
        own = {key: value for key, value in entry.items() if key != "base"}
        entry = _merged(base.model_dump(mode="json", exclude={"name", "published"}), own)
    try:
        return Experiment.model_validate({**entry, "name": name})
    except ValidationError as error:
        raise InputError(f"{place}: {explain(error, Experiment)}") from None


def _merged(base: Mapping[Any, Any], own: Mapping[Any, Any]) -> dict[Any, Any]:
    """Merges `own` over `base`, key by key; a mapping with another `name` replaces the base's."""
    if own.get("name", base.get("name")) != base.get("name"):
        return dict(own)
    merged = dict(base)
    for key, value in own.items():
        below = base.get(key)
        merged[key] = _merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


class _ListsOnOneLine(yaml.SafeDumper):
    """Writes the widths of layers as [2304, 1152]."""


_ListsOnOneLine.add_representer(
    list, lambda dumper, items: dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=True)
)
