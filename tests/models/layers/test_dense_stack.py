"""The dense layers of the classifier."""

from itertools import count

import keras
import numpy as np
import pytest

from models.layers.dense_stack import dense_stack


def build(hidden_units: tuple[int, ...], dropout: float) -> keras.Model:
    inputs = keras.Input((6,))
    return keras.Model(inputs, dense_stack(inputs, hidden_units, dropout, count(), "hidden"))


VECTORS = np.random.default_rng(0).normal(size=(9, 6)).astype(np.float32)


def test_without_layers_the_vector_is_unchanged() -> None:
    np.testing.assert_array_equal(build((), 0.5)(VECTORS, training=True), VECTORS)


def test_layers_are_dense_with_relu() -> None:
    model = build((5, 4), 0.5)
    hidden = VECTORS
    for kernel, bias in zip(model.get_weights()[::2], model.get_weights()[1::2], strict=True):
        hidden = np.maximum(hidden @ kernel + bias, 0)
    assert hidden.shape == (9, 4)
    np.testing.assert_allclose(model(VECTORS), hidden, rtol=1e-5, atol=1e-6)


def test_dropout_follows_each_layer() -> None:
    kinds = [type(layer).__name__ for layer in build((5, 4, 3), 0.35).layers]
    assert kinds == ["InputLayer", *["Dense", "Dropout"] * 3]
    assert "Dropout" not in {type(layer).__name__ for layer in build((5, 4), 0.0).layers}


def test_training_drops_a_share_of_the_outputs_and_scales_the_rest() -> None:
    model = build((1000,), 0.35)
    kept, full = np.asarray(model(VECTORS, training=True)), np.asarray(model(VECTORS))
    active = full > 0
    assert np.mean(kept[active] == 0) == pytest.approx(0.35, abs=0.03)
    survived = active & (kept > 0)
    np.testing.assert_allclose(kept[survived], full[survived] / 0.65, rtol=1e-5)


def test_each_layer_starts_with_different_weights() -> None:
    first, second = build((6, 6), 0.0).get_weights()[::2]
    assert not np.array_equal(first, second)
