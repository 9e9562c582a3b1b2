"""Micro F1 against counting."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.training.micro_f1 import MicroF1


def by_counting(labels: np.ndarray, predicted: np.ndarray) -> float:
    true = int(np.sum((labels == 1) & predicted))
    wrong = int(np.sum((labels == 1) != predicted))
    return 2 * true / (2 * true + wrong) if true + wrong else 0.0


# Probabilities with many exact halves.
batches = st.lists(
    st.tuples(st.integers(0, 2**32 - 1), st.integers(1, 5)).map(
        lambda drawn: np.random.default_rng(drawn[0]).integers(0, 9, (2, drawn[1], 4))
    ),
    min_size=1,
    max_size=4,
)


@given(batches=batches, from_logits=st.booleans())
def test_it_equals_counting_over_all_batches(batches: list[np.ndarray], from_logits: bool) -> None:
    metric = MicroF1(from_logits=from_logits)
    for drawn in batches:
        labels, eighths = drawn[0] % 2, drawn[1]
        metric.update_state(labels, (eighths - 4.0 if from_logits else eighths / 8).astype(np.float32))
    labels = np.concatenate([drawn[0] % 2 for drawn in batches])
    predicted = np.concatenate([drawn[1] > 4 for drawn in batches])
    assert float(metric.result()) == pytest.approx(by_counting(labels, predicted), rel=1e-6)


@pytest.mark.parametrize(("from_logits", "border"), [(False, 0.5), (True, 0.0)])
def test_a_probability_on_the_threshold_is_not_predicted(from_logits: bool, border: float) -> None:
    metric = MicroF1(from_logits=from_logits)
    metric.update_state([[1, 1]], np.array([[border, border + 1e-6]], np.float32))
    assert float(metric.result()) == pytest.approx(2 / 3)


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.int64, np.float32])
def test_labels_may_have_any_type(dtype: type) -> None:
    metric = MicroF1()
    metric.update_state(np.array([[1, 0, 1]], dtype), np.array([[0.9, 0.8, 0.1]], np.float32))
    assert float(metric.result()) == 0.5


def test_a_tiny_score_is_exact() -> None:
    metric = MicroF1()
    labels = np.zeros((500, 4000), np.float32)
    labels[0, :10] = 1
    metric.update_state(labels, np.ones_like(labels))
    assert float(metric.result()) == pytest.approx(20 / (20 + 500 * 4000 - 10), rel=1e-6)


def test_videos_of_weight_zero_do_not_count() -> None:
    metric = MicroF1()
    metric.update_state([[1, 0], [1, 1]], np.array([[0.9, 0.1], [0.1, 0.1]], np.float32), sample_weight=[1.0, 0.0])
    assert float(metric.result()) == 1


def test_it_is_zero_before_the_first_batch_and_after_a_reset() -> None:
    metric = MicroF1()
    assert float(metric.result()) == 0
    metric.update_state([[1]], [[0.9]])
    metric.reset_state()
    assert float(metric.result()) == 0


def test_it_is_restored_from_its_config() -> None:
    metric = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(MicroF1(True, name="f1")))
    assert isinstance(metric, MicroF1)
    assert (metric.from_logits, metric.name) == (True, "f1")


def test_keras_reports_it_while_training() -> None:
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Dense(2, kernel_initializer="zeros", bias_initializer="ones")(inputs))
    model.compile(loss=keras.losses.BinaryCrossentropy(from_logits=True), metrics=[MicroF1(True, name="f1")])
    labels = np.array([[1, 0], [1, 1], [0, 0]], np.uint8)
    scores = model.evaluate(np.ones((3, 3)), labels, batch_size=2, verbose=0, return_dict=True)
    assert scores["f1"] == pytest.approx(by_counting(labels, np.ones((3, 2), bool)))
