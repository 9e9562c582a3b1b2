"""All settings of a run: one immutable object from an experiment, options and `--set key=value`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from components.drift_detector.settings import DriftSettings
from components.evaluator.requirements import Requirement, parse_requirements
from components.example_gen.splits import SPLITS, Split, SplitPolicy, default_split
from models.dotted_keys import set_key
from models.errors import InputError, printable, quote
from models.features import AUDIO, ID, LABELS, MEAN_AUDIO, MEAN_RGB, RGB, YT8M_CLASSES
from models.metrics.video_metrics import RATED_SCORES, VIDEO_SCORES
from models.settings import MAX_SEED, Count, Settings
from models.slices import own_slices
from pipeline.beam_settings import BeamSettings
from pipeline.experiments import NAME, Experiment, Recipe
from pipeline.files.yaml_text import load_yaml
from pipeline.validation import explain
from tuner.settings import TuneSettings
from tuner.space import search_space

Share = Annotated[float, Field(ge=0, le=1)]

Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]

# The model reads these; slices by the numbers of labels and frames are always made.
OWN_FEATURES = {ID, LABELS, RGB, AUDIO, MEAN_RGB, MEAN_AUDIO}


class DataSettings(Settings):
    """Which records, and how they are split; `classes` is used only without a vocabulary.

    A pattern with `{SPAN}` stands for its newest `spans`.
    """

    pattern: str
    validation_data: str = ""
    test_data: str = ""
    spans: Count = 1
    split: str = ""
    vocabulary: str = ""
    classes: Annotated[int, Field(gt=0, le=1_000_000)] = YT8M_CLASSES
    quarantine_limit: Share = 0.001
    drift: DriftSettings = DriftSettings()

    @model_validator(mode="before")
    @classmethod
    def _default_split(cls, content: Any) -> Any:
        if not isinstance(content, dict) or content.get("split"):
            return content
        return content | {"split": default_split(_splits_with_own_data(content))}

    @model_validator(mode="after")
    def _the_split_is_known(self) -> Self:
        SplitPolicy.parse(self.split, _splits_with_own_data(dict(self)))
        return self

    @model_validator(mode="after")
    def _spans_are_in_the_pattern(self) -> Self:
        if self.spans > 1 and "{SPAN" not in self.pattern:
            raise ValueError(f"spans is {self.spans}, allowed without {{SPAN}} in the pattern of the data: 1")
        return self


def _splits_with_own_data(data: Mapping[str, Any]) -> list[Split]:
    return [split for split in SPLITS[1:] if data.get(f"{split}_data")]


class Threshold(Settings):
    """Bounds of a score; `min_change` is the least improvement on the champion's."""

    min: Share | None = None
    max: Share | None = None
    min_change: Annotated[float, Field(ge=-1, le=1)] | None = None

    @model_validator(mode="after")
    def _bounds_are_in_order(self) -> Self:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min is {self.min} and max {self.max}, expected min <= max")
        return self


class EvaluationSettings(Settings):
    """What a model must reach on the test split to be pushed, by `METRIC` or, for a slice, `METRIC@FEATURE:VALUE`.

    A model with an F1 below the champion's is not blessed unless `f1` has another `min_change`. With `floor`, a first
    model must score higher than the constant prediction. `slices` names further features of the records to slice by.
    """

    thresholds: Annotated[dict[str, Threshold], Field(validate_default=True)] = {}
    floor: bool = True
    slices: tuple[Annotated[str, Field(min_length=1)], ...] = ()

    @field_validator("slices")
    @classmethod
    def _slices_are_of_other_features(cls, slices: tuple[str, ...]) -> tuple[str, ...]:
        if own := sorted(OWN_FEATURES & set(slices)):
            raise ValueError(f"{own[0]} is read by the model, allowed: other features of the records")
        return slices

    @field_validator("thresholds", mode="before")
    @classmethod
    def _no_worse_than_the_champion(cls, content: Any) -> Any:
        if not isinstance(content, dict) or not isinstance(content.get("f1", {}), dict):
            return content  # refused by its type
        return content | {"f1": {"min_change": 0.0} | content.get("f1", {})}

    @field_validator("thresholds")
    @classmethod
    def _metrics_and_slices_are_named(cls, thresholds: dict[str, Threshold]) -> dict[str, Threshold]:
        _requirements(thresholds)
        return thresholds

    def requirements(self) -> list[Requirement]:
        """The thresholds, parsed."""
        return _requirements(self.thresholds)


def _requirements(thresholds: Mapping[str, Threshold]) -> list[Requirement]:
    return parse_requirements({key: bounds.model_dump() for key, bounds in thresholds.items()})


class RunSettings(Recipe):
    """Everything that decides what a run does.

    `search` runs the Tuner before the Trainer; `hyperparameters` is the folder with the result of an earlier one.
    """

    experiment: Annotated[str, Field(pattern=f"^({NAME.pattern})?$")]
    data: DataSettings
    evaluation: EvaluationSettings = EvaluationSettings()
    beam: BeamSettings = BeamSettings()
    seed: Seed = 0
    search: bool = False
    hyperparameters: str = ""
    out: Path = Path()

    @property
    def tuner(self) -> TuneSettings:
        """The search with its space."""
        tune = self.tune or TuneSettings()
        return tune.model_copy(update={"space": dict(search_space(tune, self.model))})

    @model_validator(mode="after")
    def _slices_of_thresholds_are_made(self) -> Self:
        own = {} if self.rated else own_slices(self.record_level)
        further = self.evaluation.slices
        for requirement in self.evaluation.requirements():
            feature, value = requirement.feature, requirement.value
            where = f"evaluation.thresholds: {quote(requirement.key)}"
            if requirement.metric in (VIDEO_SCORES if self.rated else RATED_SCORES):
                of = "videos, level is segment" if self.rated else "rated segments, which need level: segment"
                raise InputError(f"{where}: {requirement.metric} is a score of {of}")
            if feature and feature not in (*own, *further):
                allowed = f"{', '.join((*own, *further))}; or add it to evaluation.slices"
                sliced = "rated segments" if self.rated else f"{self.level}-level records"
                raise InputError(f"{where}: {sliced} are not sliced by {quote(feature)}, allowed: {allowed}")
            if feature in own and value not in own[feature]:
                raise InputError(f"{where}: {feature} is never {quote(value)}, allowed: {', '.join(own[feature])}")
        return self

    @model_validator(mode="after")
    def _one_source_of_hyperparameters(self) -> Self:
        if self.search and self.hyperparameters:
            raise ValueError(
                "search and hyperparameters exclude each other: search again, or train with the result of a search"
            )
        if self.search and self.training.warm_start:
            raise ValueError(
                "search is true, allowed with training.warm_start: false (trials start from random weights)"
            )
        if self.search and not self.tuner.space:
            name = self.model.encoder.name
            raise ValueError(f"tune.space is missing: encoder {name} has no search space of its own")
        return self


def resolve_settings(experiment: Experiment, options: Mapping[str, Any], overrides: Sequence[str] = ()) -> RunSettings:
    """Merges an experiment, the options of the command line and `key=value` overrides; later ones win.

    Args:
        experiment: gives level, model and training.
        options: dotted keys, say `data.pattern`; None means not given.
        overrides: `training.max_epochs=3`; values are read as YAML.

    Raises:
        InputError: names the key, the value and what is allowed.
    """
    for override in overrides:
        _require_single_setting(override)
    content = experiment.model_dump(mode="json", exclude={"name"}) | {"experiment": experiment.name}
    for key, value in options.items():
        if value is not None:
            set_key(content, key, value)
    apply_overrides(content, overrides)
    try:
        return RunSettings.model_validate(content)
    except ValidationError as error:
        raise InputError(explain(error, RunSettings)) from None


# Groups of settings that are never set as a whole, which would reset those left out, with an example of a key. A model
# may be: an ensemble replaces all of the base's.
_GROUPS = {
    "data": "data.spans=2",
    "training": "training.max_epochs=3",
    "evaluation": "evaluation.slices=[channel]",
    "beam": "beam.workers=2",
}


def _require_single_setting(override: str) -> None:
    """Refuses an override of a command's option, of a published result or of a whole group."""
    key, _, text = override.partition("=")
    key = key.strip()
    if key in ("out", "experiment"):
        raise InputError(f"{key} is set by --{key}, not by --set")
    if key.partition(".")[0] == "published":
        raise InputError("published is what the thesis measured, not a setting")
    if key in _GROUPS and isinstance(load_yaml(key, text), dict):
        raise InputError(f"{key} is {quote(text)}: set each by its key, say {_GROUPS[key]}")


def resolve_data(options: Mapping[str, Any]) -> DataSettings:
    """The settings of data without a run.

    Args:
        options: dotted keys, say `data.pattern`; None means not given.

    Raises:
        InputError: names the key, the value and what is allowed.
    """
    content = {key.removeprefix("data."): value for key, value in options.items() if value is not None}
    try:
        return DataSettings.model_validate(content)
    except ValidationError as error:
        raise InputError(explain(error, DataSettings)) from None


class _BeamOnly(Settings):
    beam: BeamSettings = BeamSettings()


def resolve_beam(overrides: Sequence[str]) -> BeamSettings:
    """The settings of Beam without a run.

    Args:
        overrides: `beam.runner=PortableRunner`; values are read as YAML.

    Raises:
        InputError: names the key, the value and what is allowed.
    """
    content: dict[str, Any] = {}
    apply_overrides(content, overrides)
    try:
        return _BeamOnly.model_validate(content).beam
    except ValidationError as error:
        raise InputError(explain(error, _BeamOnly)) from None


def apply_overrides(content: dict[str, Any], overrides: Sequence[str]) -> None:
    """Sets `key=value` of `--set` in nested dicts; values are read as YAML.

    Raises:
        InputError: an override is not key=value, its value is not YAML, or its key names a part of a plain value.
    """
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key or any("\ud800" <= character <= "\udfff" for character in key):  # was not UTF-8
            raise InputError(f"--set is {quote(override)}, expected key=value, say training.max_epochs=3")
        set_key(content, key.strip(), load_yaml(f"--set {printable(key)} is {quote(text)}", text))
