"""Context gating against its equation, with each option."""

from collections.abc import Callable

import numpy as np
import pytest

from models.layers.context_gating import ContextGating

INPUTS = np.random.default_rng(0).normal(size=(7, 5))
options = pytest.mark.parametrize("without_diagonal", [False, True], ids=["whole", "without diagonal"])
norms = pytest.mark.parametrize(("batch_norm", "training"), [(False, False), (True, False), (True, True)])


@pytest.fixture
def build(with_random_weights: Callable) -> Callable[..., ContextGating]:
    return lambda *options, dtype="float64": with_random_weights(ContextGating(*options, dtype=dtype), INPUTS)


def by_equation(layer: ContextGating, weights: dict[str, np.ndarray], training: bool) -> np.ndarray:
    """Equation 21, feature by feature: y_j = x_j / (1 + exp(-z_j)), z_j = sum_i x_i W_ij + b_j."""
    logits = np.zeros_like(INPUTS)
    for row, x in enumerate(INPUTS):
        for j in range(len(x)):
            others = [i for i in range(len(x)) if not (layer.without_diagonal and i == j)]
            logits[row, j] = sum(x[i] * weights["kernel"][i, j] for i in others)
    if layer.batch_norm:
        center = weights["mean"] @ (weights["kernel"] - layer.without_diagonal * np.diag(np.diag(weights["kernel"])))
        mean = logits.mean(axis=0) if training else center + weights["norm/moving_mean"]
        variance = logits.var(axis=0) if training else weights["norm/moving_variance"]
        logits = (logits - mean) / np.sqrt(variance + 1e-3) * weights["norm/gamma"] + weights["norm/beta"]
    else:
        logits = logits + weights["bias"]
    return INPUTS / (1 + np.exp(-logits))


@options
@norms
def test_it_follows_equation_21(
    build: Callable, weights_of: Callable, without_diagonal: bool, batch_norm: bool, training: bool
) -> None:
    layer = build(batch_norm, without_diagonal)
    expected = by_equation(layer, weights_of(layer), training)
    np.testing.assert_allclose(layer(INPUTS, training=training), expected, rtol=1e-10)


@options
@norms
def test_its_gradients_are_those_of_finite_differences(
    build: Callable, check_gradients: Callable, without_diagonal: bool, batch_norm: bool, training: bool
) -> None:
    check_gradients(build(batch_norm, without_diagonal), INPUTS, training=training)


@options
@norms
def test_xla_compiles_it(
    build: Callable, check_compiled: Callable, without_diagonal: bool, batch_norm: bool, training: bool
) -> None:
    layer = build(batch_norm, without_diagonal, dtype="float32")
    check_compiled(layer, INPUTS.astype(np.float32), training=training)


@pytest.mark.parametrize("options", [(False, False), (True, True)], ids=["plain", "with options"])
def test_jax_gives_the_same_vectors(
    build: Callable, run_on_jax: Callable, relative_error: Callable, options: tuple[bool, bool]
) -> None:
    layer, inputs = build(*options, dtype="float32"), INPUTS.astype(np.float32)
    calls = [{"training": False}, {"training": True}]
    for call, output in zip(calls, run_on_jax(layer, [inputs], calls), strict=True):
        assert relative_error(output, layer(inputs, **call)) < 1e-5


def test_gates_are_right_just_after_the_weights_changed() -> None:
    layer, generator = ContextGating(batch_norm=True, seed=0), np.random.default_rng(1)
    videos = generator.normal(3, 0.1, (64, 20)).astype(np.float32)  # means far from 0, as in pooled frames
    for _ in range(100):
        layer(videos, training=True)
    layer.kernel.assign_add(generator.normal(0, 0.1, (20, 20)))
    gates, expected = (np.asarray(layer(videos, training=training)) / videos for training in (False, True))
    # The deviations belong to the old weights, the means to the new: otherwise all gates would be near 0 or 1.
    assert np.abs(gates.mean(axis=0) - expected.mean(axis=0)).max() < 0.02


def test_initial_weights_keep_the_scale_of_the_input() -> None:
    layer = ContextGating(seed=0)
    layer.build((1, 400))
    assert np.std(layer.kernel) == pytest.approx(1 / np.sqrt(400), rel=0.01)
    assert np.all(np.asarray(layer.bias) == 0)
