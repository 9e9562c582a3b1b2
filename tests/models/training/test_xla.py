"""Whether XLA compiles a training, by what was measured on a device."""

from typing import Any

import pytest
import tensorflow as tf

from models.settings import ModelSettings
from models.training.xla import decide_xla
from models.training_settings import TrainingSettings

AVERAGE = {"encoder": {"name": "average"}}
LSTM = {"encoder": {"name": "lstm", "units": 8}}


@pytest.mark.parametrize(
    ("model", "training", "on_cpu", "on_gpu"),
    [
        (AVERAGE, {}, True, True),
        ({**AVERAGE, "dropout": 0.3}, {}, False, True),
        ({**AVERAGE, "pooled_dropout": 0.3}, {}, False, True),
        (AVERAGE, {"strategy": "mirrored"}, False, False),
        (LSTM, {}, False, False),
        ({**AVERAGE, "dropout": 0.3}, {"jit_compile": True}, True, True),
        (AVERAGE, {"jit_compile": False}, False, False),
    ],
)
def test_the_device_and_the_model_decide(
    monkeypatch: pytest.MonkeyPatch, model: dict[str, Any], training: dict[str, Any], on_cpu: bool, on_gpu: bool
) -> None:
    settings = TrainingSettings.model_validate({"jit_compile": "auto", **training})
    for devices, expected in (([], on_cpu), ([object()], on_gpu)):
        monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind, found=devices: found)
        decided = decide_xla(settings, ModelSettings.model_validate(model))
        assert decided.jit_compile is expected
        assert decided == settings.model_copy(update={"jit_compile": expected})
