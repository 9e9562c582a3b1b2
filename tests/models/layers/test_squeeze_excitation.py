"""The squeeze-and-excitation gate against its formula."""

from collections.abc import Callable

import numpy as np
import pytest

from models.layers.squeeze_excitation import SqueezeExcitation

INPUTS = np.random.default_rng(0).normal(size=(7, 8)).astype(np.float32)
training_or_not = pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])


@training_or_not
def test_it_follows_its_formula(
    with_random_weights: Callable, weights_of: Callable, relative_error: Callable, training: bool
) -> None:
    layer = with_random_weights(SqueezeExcitation(reduction=2), INPUTS)
    weights, x = weights_of(layer), INPUTS.astype(np.float64)
    squeezed = x @ weights["squeeze"]
    mean = squeezed.mean(axis=0) if training else weights["norm/moving_mean"]
    variance = squeezed.var(axis=0) if training else weights["norm/moving_variance"]
    squeezed = (squeezed - mean) / np.sqrt(variance + 1e-3) * weights["norm/gamma"] + weights["norm/beta"]
    expected = x / (1 + np.exp(-np.maximum(squeezed, 0) @ weights["excite"]))
    assert relative_error(layer(INPUTS, training=training), expected) < 1e-5


@training_or_not
def test_its_gradients_are_those_of_finite_differences(
    with_random_weights: Callable, check_gradients: Callable, training: bool
) -> None:
    layer = with_random_weights(SqueezeExcitation(reduction=2, dtype="float64"), INPUTS)
    check_gradients(layer, INPUTS, training=training)


@training_or_not
def test_xla_compiles_it(with_random_weights: Callable, check_compiled: Callable, training: bool) -> None:
    check_compiled(with_random_weights(SqueezeExcitation(reduction=2), INPUTS), INPUTS, training=training)


def test_jax_gives_the_same_vectors(
    with_random_weights: Callable, run_on_jax: Callable, relative_error: Callable
) -> None:
    layer = with_random_weights(SqueezeExcitation(reduction=2), INPUTS)
    calls = [{"training": False}, {"training": True}]
    for call, output in zip(calls, run_on_jax(layer, [INPUTS], calls), strict=True):
        assert relative_error(output, layer(INPUTS, **call)) < 1e-5


def test_initial_weights_have_the_deviations_of_the_code_of_the_paper() -> None:
    layer = SqueezeExcitation(seed=0)
    layer.build((None, 512))
    assert np.std(layer.squeeze) == pytest.approx((2 / 512) ** 0.5, rel=0.03)
    assert np.std(layer.excite) == pytest.approx((2 / 64) ** 0.5, rel=0.03)
