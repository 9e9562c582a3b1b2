"""Whole networks: their sizes by formula, and saving and loading them."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from models.settings import ModelSettings
from models.video_classifier import build_video_classifier, training_view

CLASSES = 7
RNG = np.random.default_rng(0)
INPUTS = {
    "frames": RNG.integers(0, 256, (3, 6, 1152), np.uint8),
    "num_frames": np.array([6, 1, 4], np.int32),
    "mean": RNG.uniform(-2, 2, (3, 1152)).astype(np.float32),
}

AVERAGE: dict[str, Any] = {"name": "average"}
NETVLAD: dict[str, Any] = {"name": "netvlad", "clusters": 4}
LSTM: dict[str, Any] = {"name": "lstm", "units": 3}
NEXTVLAD: dict[str, Any] = {"name": "nextvlad", "clusters": 4, "hidden_size": 16}
NETVLAD_BATCH_NORM = {**NETVLAD, "batch_norm": True}


def build(settings: dict[str, Any]) -> keras.Model:
    return build_video_classifier(ModelSettings.model_validate(settings), CLASSES, seed=5)


def dense(*widths: int) -> int:
    return sum(before * after + after for before, after in pairwise(widths))


def netvlad(width: int, clusters: int, batch_norm: bool = False) -> int:
    return 2 * width * clusters + clusters * (4 if batch_norm else 1) + width * clusters * width


def gate(width: int) -> int:
    return width * width + width


def lstm(width: int, units: int) -> int:
    return 4 * units * (width + units + 1)


def nextvlad(width: int, groups: int, clusters: int) -> int:
    wide, group = 2 * width, 2 * width // groups
    expansion_and_attention = dense(width, wide) + dense(wide, groups)
    return expansion_and_attention + groups * clusters * (wide + 4) + group * clusters * (1 + 4)


def excited(width: int, hidden: int) -> int:
    """Projection without bias, batch normalization, then squeeze and excitation with another batch normalization."""
    return width * hidden + 4 * hidden + 2 * hidden * hidden // 8 + 4 * hidden // 8


SIZES: list[tuple[dict[str, Any], int]] = [
    ({"encoder": AVERAGE}, dense(1152, CLASSES)),
    ({"encoder": AVERAGE, "hidden_units": (8, 6), "dropout": 0.5}, dense(1152, 8, 6, CLASSES)),
    ({"encoder": AVERAGE, "context_gating": True}, gate(1152) + dense(1152, CLASSES) + gate(CLASSES)),
    (
        {"encoder": AVERAGE, "two_stream": True, "hidden_units": (8, 6), "hidden_units_audio": (4, 3)},
        dense(1024, 8, 6) + dense(128, 4, 3) + dense(6 + 3, CLASSES),
    ),
    ({"encoder": AVERAGE, "two_stream": True, "hidden_units": (8,)}, dense(1152, 8, CLASSES)),
    ({"encoder": NETVLAD, "normalize_frames": True}, netvlad(1152, 4) + dense(1152, CLASSES)),
    (
        {
            "encoder": NETVLAD,
            "two_stream": True,
            "hidden_units": (8, 6),
            "pooled_dropout": 0.35,
            "context_gating": True,
        },
        netvlad(1024, 4) + netvlad(128, 2) + gate(1152) + dense(1152, 8, 6, CLASSES) + gate(CLASSES),
    ),
    (
        {"encoder": NETVLAD_BATCH_NORM, "two_stream": True, "hidden_units": (8,)},
        netvlad(1024, 4, True) + netvlad(128, 2, True) + dense(1152, 8, CLASSES),
    ),
    (
        {
            "encoder": NETVLAD,
            "two_stream": True,
            "hidden_units": (8,),
            "hidden_units_audio": (4,),
            "context_gating": True,
        },
        netvlad(1024, 4)
        + netvlad(128, 2)
        + gate(1024)
        + gate(128)
        + dense(1024, 8)
        + dense(128, 4)
        + dense(8 + 4, CLASSES)
        + gate(CLASSES),
    ),
    (
        {"encoder": AVERAGE, "hidden_units": (8,), "experts": 2},
        dense(1152, 8) + 8 * CLASSES * 3 + dense(8, CLASSES * 2),
    ),
    (
        {"encoder": AVERAGE, "context_gating": True, "gate_batch_norm": True, "gate_without_diagonal": True},
        gate(1152) + 4 * 1152 + dense(1152, CLASSES) + gate(CLASSES) + 4 * CLASSES,
    ),
    ({"encoder": LSTM, "two_stream": True, "hidden_units": (8,)}, lstm(1024, 3) + lstm(128, 3) + dense(6, 8, CLASSES)),
    ({"encoder": NEXTVLAD, "pooled_dropout": 0.5}, nextvlad(1152, 8, 4) + excited(288 * 4, 16) + dense(16, CLASSES)),
    (
        {"encoder": NEXTVLAD, "two_stream": True, "pooled_dropout": 0.5},
        nextvlad(1024, 8, 4) + nextvlad(128, 4, 2) + excited(256 * 4 + 64 * 2, 16) + dense(16, CLASSES),
    ),
]


@pytest.mark.parametrize(("settings", "parameters"), SIZES)
def test_the_number_of_parameters_follows_the_formula(settings: dict[str, Any], parameters: int) -> None:
    assert build(settings).count_params() == parameters


@pytest.mark.parametrize(("settings", "_"), SIZES)
def test_a_saved_model_gives_the_same_probabilities(settings: dict[str, Any], _: int, tmp_path: Path) -> None:
    model = build(settings)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    inputs = {name: INPUTS[name] for name in model.input}
    np.testing.assert_array_equal(model(inputs), loaded(inputs))
    for view in (training_view(model), training_view(loaded)):
        assert view[1] is not (settings.get("context_gating", False) or settings.get("experts", 0) > 0)
