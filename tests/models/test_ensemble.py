"""Ensembles: their probabilities, trained weights and files."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from models.encoders.average import mean_of_frames
from models.ensemble import build_ensemble
from models.settings import ModelSettings
from models.training.train import train
from models.training_settings import TrainingSettings
from models.video_classifier import build_video_classifier, training_view

CLASSES = 7
RNG = np.random.default_rng(0)
FRAMES = {"frames": RNG.integers(0, 256, (3, 6, 1152), np.uint8), "num_frames": np.array([6, 1, 4], np.int32)}
MEANS = {"mean": np.asarray(mean_of_frames(**FRAMES))}


def build(seed: int, **settings: Any) -> keras.Model:
    return build_video_classifier(ModelSettings.model_validate(settings), CLASSES, seed)


@pytest.fixture
def members() -> list[keras.Model]:
    netvlad = build(1, encoder={"name": "netvlad", "clusters": 4}, hidden_units=(8,), dropout=0.5)
    return [netvlad, build(2, encoder={"name": "average"}), build(3, encoder={"name": "average"}, experts=2)]


def test_an_ensemble_starts_as_the_mean_of_its_members(members: list[keras.Model]) -> None:
    ensemble = build_ensemble(members, "frame")
    expected = np.mean([members[0](FRAMES), members[1](MEANS), members[2](MEANS)], axis=0)
    np.testing.assert_allclose(ensemble(FRAMES), expected, rtol=1e-5)
    # Members run in inference mode even in training: without dropout and moments of the batch.
    np.testing.assert_allclose(ensemble(FRAMES, training=True), expected, rtol=1e-5)


def test_weights_add_up_to_1(members: list[keras.Model]) -> None:
    ensemble = build_ensemble(members, "frame")
    ensemble.get_layer("ensemble").logits.assign(np.log([6.0, 3.0, 1.0]))
    expected = 0.6 * members[0](FRAMES) + 0.3 * members[1](MEANS) + 0.1 * members[2](MEANS)
    np.testing.assert_allclose(ensemble(FRAMES), expected, rtol=1e-5)


def test_members_that_read_means_make_an_ensemble_that_reads_means(members: list[keras.Model]) -> None:
    ensemble = build_ensemble(members[1:], "video")
    np.testing.assert_allclose(ensemble(MEANS), (members[1](MEANS) + members[2](MEANS)) / 2, rtol=1e-5)


def test_only_the_weights_are_trained(members: list[keras.Model]) -> None:
    ensemble = build_ensemble(members, "frame")
    assert [weight.shape for weight in ensemble.trainable_weights] == [(3,)]
    view, from_logits = training_view(ensemble)
    assert not from_logits and [weight.shape for weight in view.trainable_weights] == [(3,)]
    assert ensemble.losses == [], "a member's penalty would count as the ensemble's"


def test_a_saved_ensemble_gives_the_same_probabilities(members: list[keras.Model], tmp_path: Path) -> None:
    ensemble = build_ensemble(members, "frame")
    ensemble.get_layer("ensemble").logits.assign([1.0, 0.0, -1.0])
    ensemble.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(FRAMES), ensemble(FRAMES))


def test_training_finds_the_weights_with_the_lowest_cross_entropy(tmp_path: Path) -> None:
    means = RNG.normal(size=(400, 1152)).astype(np.float32)
    members = [build(seed, encoder={"name": "average"}) for seed in (1, 2, 3)]
    answers = np.stack([member({"mean": means}) for member in members])
    labels = (RNG.random((400, CLASSES)) < np.tensordot([0.7, 0.3, 0.0], answers, 1)).astype(np.float32)
    data = tf.data.Dataset.from_tensor_slices(({"mean": means}, labels)).batch(50)
    recipe = TrainingSettings(learning_rate=0.1, decay_rate=1.0, max_epochs=30, batch_size=50)
    ensemble, log = train(
        lambda: build_ensemble(members, "video"), lambda _: data, data, recipe,
        seed=0, checkpoint_dir=tmp_path / "checkpoints", log_dir=tmp_path / "logs",
    )  # fmt: skip

    def cross_entropy(weights: np.ndarray) -> float:
        p = np.tensordot(weights, answers, 1)
        return -np.mean(labels * np.log(p) + (1 - labels) * np.log(1 - p))

    grid = [np.array([a, b, 100 - a - b]) / 100 for a in range(101) for b in range(101 - a)]
    best = min(map(cross_entropy, grid))
    assert log.epochs[log.best_epoch].val_loss == pytest.approx(best, abs=2e-4)
    assert cross_entropy(np.full(3, 1 / 3)) > best + 2e-3, "equal weights are as good: the test could not fail"
    weights = np.asarray(keras.ops.softmax(ensemble.get_layer("ensemble").logits))
    assert cross_entropy(weights) == pytest.approx(best, abs=2e-4)


def test_the_output_is_float32_whatever_the_members(members: list[keras.Model]) -> None:
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        assert build_ensemble([*members, build(4, encoder={"name": "average"})], "frame")(FRAMES).dtype == tf.float32
    finally:
        keras.config.set_dtype_policy("float32")
