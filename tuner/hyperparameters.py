"""Conversion of a space to KerasTuner's hyperparameters, and of their values to settings."""

import json
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import keras_tuner
from pydantic import ValidationError

from models.dotted_keys import set_key
from models.errors import InputError, printable
from models.settings import ModelSettings
from models.training_settings import TrainingSettings
from tuner.settings import Choice, Float, Space


def hyperparameters(space: Space) -> keras_tuner.HyperParameters:
    """The space as KerasTuner's hyperparameters.

    Example:
        >>> space = {"training.patience": Choice(type="choice", values=(1, 3))}
        >>> hyperparameters(space).values
        {'training.patience': 1}
    """
    declared = keras_tuner.HyperParameters()
    for key, parameter in space.items():
        with ExitStack() as scopes:
            for parent, values in parameter.when.items():
                scopes.enter_context(declared.conditional_scope(parent, list(values)))
            if isinstance(parameter, Choice):
                declared.Choice(key, [_encode(value) for value in parameter.values])
            else:
                kind = declared.Float if isinstance(parameter, Float) else declared.Int
                sampling = "log" if parameter.log else "linear"
                kind(key, parameter.min, parameter.max, step=parameter.step, sampling=sampling)
    return declared


def active_values(hyperparameters: keras_tuner.HyperParameters) -> dict[str, Any]:
    """The values of a trial by the key of the setting: without Hyperband's own, and without those that are not used.

    A parameter is not used while a condition in its `when` does not hold.
    """
    return {
        parameter.name: _decode(hyperparameters.values[parameter.name])
        for parameter in hyperparameters.space
        if parameter.name in hyperparameters.values and hyperparameters.is_active(parameter)
    }


def check_hyperparameters(file: Path, model: ModelSettings, training: TrainingSettings) -> None:
    """Checks the hyperparameters of an earlier search at the start of a run, before the training that uses them.

    Args:
        file: JSON of KerasTuner's hyperparameters.
        model: of the experiment that will use them.
        training: of the experiment that will use them.

    Raises:
        InputError: the file cannot be read or holds something else, or the experiment does not allow the values.
    """
    option = f"--hyperparameters is {str(file.parent)!r}"
    try:
        if not file.is_file():  # reading a pipe would block
            raise InputError(f"{option}, expected a folder with {file.name}")
        content = file.read_bytes()
    except OSError as error:
        raise InputError(f"{option}: {file.name}: {error.strerror}") from None
    try:
        values = active_values(keras_tuner.HyperParameters.from_config(json.loads(content)))
    except Exception as error:  # KerasTuner does not check its input
        reason = f"{type(error).__name__}: {printable(' '.join(str(error).split()))}"
        raise InputError(f"{option}: {file.name} does not hold the hyperparameters of a search: {reason}") from None
    try:
        with_values(model, training, values)
    except InputError as error:
        raise InputError(f"{option}: {error}") from None


def with_values(
    model: ModelSettings, training: TrainingSettings, values: Mapping[str, Any]
) -> tuple[ModelSettings, TrainingSettings]:
    """The settings of an experiment with the values of a trial.

    Args:
        model: of the experiment.
        training: of the experiment.
        values: by dotted key, such as `training.learning_rate`.

    Raises:
        InputError: values that are not allowed, alone or together.

    Example:
        >>> model = ModelSettings.model_validate({"encoder": {"name": "average"}})
        >>> model, training = with_values(model, TrainingSettings(), {"model.dropout": 0.5, "training.patience": 1})
        >>> model.dropout, training.patience
        (0.5, 1)
    """
    content = {"model": model.model_dump(mode="json"), "training": training.model_dump(mode="json")}
    for key, value in values.items():
        set_key(content, key, value)
    try:
        return ModelSettings.model_validate(content["model"]), TrainingSettings.model_validate(content["training"])
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise InputError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def _encode(value: Any) -> Any:
    """KerasTuner's choices are scalars, so a list becomes JSON."""
    return json.dumps(value) if isinstance(value, tuple) else value


def _decode(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) and value.startswith("[") else value
