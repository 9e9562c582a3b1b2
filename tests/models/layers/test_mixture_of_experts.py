"""The mixture of experts against its equation; shapes, files and precisions are tested in test_every_layer.py."""

from collections.abc import Callable

import numpy as np
import pytest

from models.layers.mixture_of_experts import MixtureOfExperts

VIDEOS = np.random.default_rng(0).normal(size=(3, 6))


def test_a_probability_is_the_weighted_average_of_the_experts(
    with_random_weights: Callable, weights_of: Callable, relative_error: Callable
) -> None:
    layer = with_random_weights(MixtureOfExperts(4, 2), VIDEOS.astype(np.float32))
    weights = weights_of(layer)
    expected = np.zeros((3, 4))
    for video, label in np.ndindex(3, 4):
        gates = np.exp([VIDEOS[video] @ weights["gates"][:, 3 * label + expert] for expert in range(3)])
        for expert in range(2):
            column = 2 * label + expert
            logit = VIDEOS[video] @ weights["kernel"][:, column] + weights["bias"][column]
            expected[video, label] += gates[expert] / gates.sum() / (1 + np.exp(-logit))
    assert relative_error(layer(VIDEOS.astype(np.float32)), expected) < 1e-5


def test_its_gradients_match_finite_differences(with_random_weights: Callable, check_gradients: Callable) -> None:
    check_gradients(with_random_weights(MixtureOfExperts(4, 2, dtype="float64"), VIDEOS), VIDEOS)


def test_a_label_is_improbable_if_no_expert_has_a_share() -> None:
    layer = MixtureOfExperts(1, 2)
    layer.build((None, 1))
    layer.gates.assign([[0.0, 0.0, 20.0]])
    layer.bias.assign([20.0, 20.0])
    assert float(layer(np.ones((1, 1)))[0, 0]) < 1e-8


def test_the_penalty_is_divided_by_the_number_of_labels() -> None:
    layer = MixtureOfExperts(4, 2, seed=0)
    layer.build((None, 6))
    squares = sum(np.square(np.asarray(weight, np.float64)).sum() for weight in (layer.gates, layer.kernel))
    assert float(sum(layer.losses)) == pytest.approx(1e-5 * squares / 4, rel=1e-5)
