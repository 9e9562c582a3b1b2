"""The settings of a search: the `tune:` block of an experiment."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, StrictBool, StrictFloat, StrictInt, model_validator

from models.settings import Bound, Count, Settings

# Strict, so that 1 and true differ.
Scalar = StrictBool | StrictInt | StrictFloat | str

Whole = Annotated[int, Field(ge=-(2**31), le=2**31 - 1)]
Number = Annotated[float, Field(ge=-1e10, le=1e10)]


class Parameter(Settings):
    """The base of all kinds; it is used only while each parameter in `when` has one of the values listed there."""

    when: dict[str, tuple[Scalar, ...]] = {}


class Choice(Parameter):
    """One of several values of the same type; a value may be a list, such as the widths of layers."""

    type: Literal["choice"]
    values: Annotated[
        tuple[StrictBool, ...]
        | tuple[StrictInt, ...]
        | tuple[StrictFloat, ...]
        | tuple[str, ...]
        | tuple[tuple[Scalar, ...], ...],
        Field(min_length=1),
    ]


class Int(Parameter):
    """A whole number from `min` to `max`, both included, in steps of `step`; `log` draws on a logarithmic scale."""

    type: Literal["int"]
    min: Whole
    max: Whole
    step: Count | None = None
    log: bool = False

    @model_validator(mode="after")
    def _range(self) -> "Int":
        _check_range(self)
        return self


class Float(Parameter):
    """A number from `min` to `max`, both included, in steps of `step` if it is set; `log` as for `Int`."""

    type: Literal["float"]
    min: Number
    max: Number
    step: Bound | None = None
    log: bool = False

    @model_validator(mode="after")
    def _range(self) -> "Float":
        _check_range(self)
        return self


AnyParameter = Annotated[Choice | Int | Float, Field(discriminator="type")]

# Parameters by the key of the setting, such as `training.learning_rate`.
Space = Mapping[str, AnyParameter]


class TuneSettings(Settings):
    """A search.

    Attributes:
        space: parameters by the key of the setting, such as `model.encoder.clusters`; empty for the space of the
            encoder in `tuner/spaces.yaml`.
        oracle: chooses the next values. Hyperband (Li et al., JMLR 18) starts many trials with few epochs and trains
            the best of them `factor` times as long, up to `max_epochs`; it ignores `max_trials`.
        objective: GAP@20, micro F1 or loss on the validation split.
        max_trials: number of trials.
        max_epochs: epochs of a trial.
        factor: of Hyperband, see `oracle`.
        max_batches: training batches of an epoch; the whole split by default.
        stop_hopeless: whether a trial ends whose validation loss is, after an epoch, above the median of other trials
            after as many epochs (`tuner.median_stopping`); Hyperband ignores it.
        workers: number of trials at a time, each in its own process, and with its own GPU if there are any.

    Example:
        >>> rate = {"type": "float", "min": 1e-4, "max": 1e-2, "log": True}
        >>> settings = TuneSettings.model_validate({"space": {"training.learning_rate": rate}, "max_trials": 5})
        >>> settings.oracle, settings.max_trials
        ('bayesian', 5)
    """

    space: dict[str, AnyParameter] = {}
    oracle: Literal["random", "bayesian", "hyperband", "grid"] = "bayesian"
    objective: Literal["val_gap", "val_f1", "val_loss"] = "val_gap"
    max_trials: Count = 20
    max_epochs: Count = 3
    factor: Annotated[int, Field(ge=2, le=1000)] = 3
    max_batches: Count | None = None
    stop_hopeless: bool = True
    workers: Annotated[int, Field(gt=0, le=1000)] = 1

    @model_validator(mode="after")
    def _conditions_name_choices(self) -> "TuneSettings":
        for key, parameter in self.space.items():
            for parent, values in parameter.when.items():
                choice = self.space.get(parent)
                if not isinstance(choice, Choice) or list(self.space).index(parent) > list(self.space).index(key):
                    raise ValueError(f"space.{key}.when is {parent!r}, allowed: parameters of type choice above it")
                if not values or not set(values) <= set(choice.values):
                    raise ValueError(
                        f"space.{key}.when.{parent} is {list(values)}, allowed: some of {list(choice.values)}"
                    )
        return self


def _check_range(parameter: Int | Float) -> None:
    if parameter.min >= parameter.max:
        raise ValueError(f"min is {parameter.min} and max {parameter.max}, expected min < max")
    if parameter.log and parameter.min <= 0:
        raise ValueError(f"min is {parameter.min}, with log: true allowed: above 0")
    if parameter.log and parameter.step:
        raise ValueError("log and step are mutually exclusive")
