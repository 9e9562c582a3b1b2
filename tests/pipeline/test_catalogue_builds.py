"""Every experiment of the catalogue is built: at full size without weights, with few units for its predictions."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import keras
import numpy as np
import pytest

from models.cost import cost
from models.features import FRAMES, MEAN, NUM_FRAMES, WIDTH, YT8M_CLASSES
from models.settings import DBoFSettings, ModelSettings, WholeModelSettings
from models.video_classifier import build_video_classifier
from pipeline.experiments import catalogue

LENGTH = 20
FEW_CLASSES = 16

# The others are built of trained models or of training videos.
every_experiment = pytest.mark.parametrize(
    "name", [name for name, entry in catalogue().items() if not isinstance(entry.model.encoder, WholeModelSettings)]
)


@pytest.fixture
def no_weights() -> Iterator[None]:
    """Gives layers weights with a shape and no value: real weights of the catalogue would take 12 GB."""
    with keras.StatelessScope(initialize_variables=False):
        yield
        keras.backend.clear_session(free_memory=False)  # Keras keeps the weights, and would initialize them later


@every_experiment
@pytest.mark.usefixtures("no_weights")
def test_an_experiment_has_the_parameters_that_show_prints_and_an_answer_a_class(name: str) -> None:
    settings = catalogue()[name].model
    model = build_video_classifier(settings, YT8M_CLASSES, seed=0)
    assert model.count_params() == cost(settings, YT8M_CLASSES).parameters

    video = {
        MEAN: keras.KerasTensor((1, WIDTH)),
        FRAMES: keras.KerasTensor((1, LENGTH, WIDTH), "uint8"),
        NUM_FRAMES: keras.KerasTensor((1,), "int32"),
    }
    answer = model.compute_output_spec({name: video[name] for name in model.input})
    assert (answer.shape, answer.dtype) == ((1, YT8M_CLASSES), "float32")


@every_experiment
def test_an_experiment_of_few_units_answers_with_probabilities(name: str) -> None:
    probabilities = probabilities_of(narrowed(catalogue()[name].model))
    assert probabilities.shape == (1, FEW_CLASSES)
    assert np.isfinite(probabilities).all() and (probabilities > 0).all() and (probabilities < 1).all()


def narrowed(settings: ModelSettings) -> ModelSettings:
    """The same layers with eight clusters and units at most; DBoF's fewest clusters are 16."""
    most = 16 if isinstance(settings.encoder, DBoFSettings) else 8

    def narrow(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: narrow(part) for key, part in value.items()}
        if isinstance(value, tuple):
            return tuple(map(narrow, value))
        return min(value, most) if isinstance(value, int) else value

    return ModelSettings.model_validate(narrow(settings.model_dump()))


@cache
def probabilities_of(settings: ModelSettings) -> np.ndarray:
    """Predictions of a new model for a random video; many experiments differ only in their numbers of units."""
    generator = np.random.default_rng(0)
    video = {
        MEAN: generator.normal(size=(1, WIDTH)).astype(np.float32),
        FRAMES: generator.integers(0, 256, (1, LENGTH, WIDTH), np.uint8),
        NUM_FRAMES: np.array([LENGTH], np.int32),
    }
    model = build_video_classifier(settings, FEW_CLASSES, seed=0)
    return np.asarray(model({name: video[name] for name in model.input}, training=False))
