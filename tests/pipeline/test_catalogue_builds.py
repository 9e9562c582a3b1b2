"""Every experiment of the catalogue, built at full size: it answers, and has the parameters that `show` prints."""

import gc

import keras
import numpy as np
import pytest

from models.cost import cost
from models.features import WIDTH, YT8M_CLASSES
from models.settings import EnsembleSettings
from models.video_classifier import build_video_classifier
from pipeline.experiments import catalogue

FRAMES = 20


@pytest.fixture(autouse=True)
def _freed_memory():
    """The largest models take 1.2 GB each and refer to themselves: without collection 9.5 GB, with it 5.2 GB."""
    gc.freeze()  # of what was there before, a million objects of TensorFlow's, nothing needs to be looked at
    yield
    keras.backend.clear_session()
    gc.collect()
    gc.unfreeze()


# Ensembles are made of models that were trained before.
@pytest.mark.parametrize(
    "name", [name for name, entry in catalogue().items() if not isinstance(entry.model.encoder, EnsembleSettings)]
)
def test_an_experiment_builds_and_answers(name):
    settings = catalogue()[name].model
    model = build_video_classifier(settings, YT8M_CLASSES, seed=0)
    generator = np.random.default_rng(0)
    video = {
        "mean": generator.normal(size=(1, WIDTH)).astype(np.float32),
        "frames": generator.integers(0, 256, (1, FRAMES, WIDTH), np.uint8),
        "num_frames": np.array([FRAMES], np.int32),
    }
    answer = model({name: video[name] for name in model.input}, training=False)
    probabilities = keras.ops.convert_to_numpy(answer)

    assert model.count_params() == cost(settings, YT8M_CLASSES).parameters
    assert probabilities.shape == (1, YT8M_CLASSES)
    assert np.isfinite(probabilities).all() and (probabilities >= 0).all() and (probabilities <= 1).all()
