"""Initial biases: an untrained model predicts the labels' shares of the training videos."""

from typing import Any

import numpy as np
import pytest

from models.output_bias import label_shares, predict_shares
from models.settings import ModelSettings
from models.video_classifier import build_video_classifier

CLASSES = 9


def test_the_shares_are_those_of_the_videos_with_one_average_video_more() -> None:
    shares = label_shares(np.array([2, 5, 2]), videos=4, classes=CLASSES)
    assert shares[[0, 2, 5]] == pytest.approx([(0 + 3 / 9 / 4) / 5, (2 + 3 / 9 / 4) / 5, (1 + 3 / 9 / 4) / 5])


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"hidden_units": [64], "dropout": 0.5},
        {"experts": 3},
        {"context_gating": True},
        {"context_gating": True, "gate_batch_norm": True, "experts": 2},
        {"two_stream": True, "hidden_units": [16], "hidden_units_audio": [8]},
    ],
)
def test_an_untrained_model_predicts_the_shares(settings: dict[str, Any]) -> None:
    shares = np.geomspace(1e-7, 0.3, CLASSES)
    model = build_video_classifier(ModelSettings(encoder={"name": "average"}, **settings), CLASSES, seed=0)
    predict_shares(model, shares)
    means = np.random.default_rng(0).normal(scale=0.01, size=(256, 1152)).astype(np.float32)
    predicted = np.asarray(model({"mean": means})).mean(axis=0)
    np.testing.assert_allclose(predicted, shares, rtol=0.3)  # the gates of labels differ
