"""Context gating against its equation."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from models.context_gating import ContextGating


@pytest.fixture
def gate() -> ContextGating:
    layer = ContextGating(seed=3, dtype="float64")
    layer.build((1, 5))
    layer.bias.assign(np.linspace(-2, 2, 5))
    return layer


def by_equation(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Equation 21, feature by feature: y_j = x_j / (1 + exp(-(sum_i x_i W_ij + b_j)))."""
    y = np.empty_like(x)
    for row in range(len(x)):
        for j in range(x.shape[1]):
            z = sum(x[row, i] * kernel[i, j] for i in range(x.shape[1])) + bias[j]
            y[row, j] = x[row, j] / (1 + np.exp(-z))
    return y


def test_it_follows_equation_21(gate: ContextGating) -> None:
    x = np.random.default_rng(0).normal(size=(4, 5))
    np.testing.assert_allclose(gate(x), by_equation(x, *map(np.asarray, gate.get_weights())), rtol=1e-12)


def test_its_gradients_are_those_of_finite_differences(gate: ContextGating) -> None:
    x = tf.constant(np.random.default_rng(1).normal(size=(4, 5)))
    exact, differences = tf.test.compute_gradient(lambda z: gate(z) ** 2, [x], delta=1e-6)
    np.testing.assert_allclose(exact, differences, atol=1e-7)
    direction = np.random.default_rng(2).normal(size=(5, 5))
    kernel = np.asarray(gate.kernel)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(gate(x) ** 2)
    slope = np.sum(tape.gradient(loss, gate.kernel.value) * direction)
    ahead, behind = (
        np.sum(by_equation(x.numpy(), kernel + s * direction, np.asarray(gate.bias)) ** 2) for s in (1e-6, -1e-6)
    )
    assert slope == pytest.approx((ahead - behind) / 2e-6, rel=1e-6)


def test_initial_weights_keep_the_scale_of_the_input() -> None:
    layer = ContextGating(seed=0)
    layer.build((1, 400))
    assert np.std(layer.kernel) == pytest.approx(1 / np.sqrt(400), rel=0.01)
    assert np.all(keras.ops.convert_to_numpy(layer.bias) == 0)
