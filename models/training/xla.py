"""Whether XLA compiles the steps of a training."""

import tensorflow as tf

from models.settings import ModelSettings, RecurrentSettings, WholeModelSettings
from models.training_settings import TrainingSettings


def decide_xla(training: TrainingSettings, model: ModelSettings) -> TrainingSettings:
    """The settings with a decision in the place of `jit_compile: auto`, made for the device that trains.

    On a CPU XLA saves an eighth of a step of dense layers (2304-1152 in bare Keras: 0.096 s of CPU time, not 0.11 s),
    but its random numbers cost more: with dropout a step takes 0.28 s, not 0.12 s. On a GPU, where nothing was
    measured, XLA is on unless it cannot compile the model: recurrent layers train with cuDNN there.

    Args:
        training: of the recipe.
        model: of the network.

    Example:
        >>> model = ModelSettings.model_validate({"encoder": {"name": "average"}, "dropout": 0.5})
        >>> decide_xla(TrainingSettings(jit_compile="auto"), model).jit_compile  # on a CPU
        False
    """
    if training.jit_compile != "auto":
        return training
    compiled = training.strategy == "single" and not isinstance(model.encoder, RecurrentSettings | WholeModelSettings)
    if compiled and not tf.config.list_physical_devices("GPU"):
        compiled = not (model.dropout or model.pooled_dropout)
    return training.model_copy(update={"jit_compile": compiled})
