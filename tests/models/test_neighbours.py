"""Nearest training videos: the votes by their formula, the memory, files."""

from pathlib import Path

import keras
import numpy as np
import pytest

from models.neighbours import SHARPNESS, build_neighbours

CLASSES, NONE = 5, 5
GENERATOR = np.random.default_rng(0)
MEANS = GENERATOR.normal(size=(30, 1152)).astype(np.float32) * GENERATOR.uniform(0.1, 3, 1152).astype(np.float32)
LABELS = np.sort(GENERATOR.integers(0, CLASSES, (30, 2)), axis=1).astype(np.int32)
LABELS[LABELS[:, 0] == LABELS[:, 1], 1] = NONE
SHARES = np.array([0.4, 0.3, 0.2, 0.1, 0.05])


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return build_neighbours(MEANS, LABELS, SHARES, neighbours=4)


def by_formula(video: np.ndarray, sharpness: float, stored: np.ndarray) -> np.ndarray:
    """The votes of the 4 nearest of some stored videos, in float64."""
    center, deviation = MEANS.astype("float64").mean(axis=0), MEANS.astype("float64").std(axis=0)

    def direction(mean: np.ndarray) -> np.ndarray:
        standardized = (mean - center) / deviation
        return standardized / np.linalg.norm(standardized)

    similarities = np.array([direction(video) @ direction(MEANS[other]) for other in stored])
    nearest = np.argsort(-similarities)[:4]
    weights = np.exp(sharpness * similarities[nearest])
    votes = np.zeros(CLASSES)
    for place, weight in zip(nearest, weights / weights.sum(), strict=True):
        for label in LABELS[stored[place]]:
            if label != NONE:
                votes[label] += weight
    return 0.9 * votes + 0.1 * SHARES


def test_the_nearest_videos_vote_by_their_similarity(model: keras.Model) -> None:
    videos = MEANS[:6] + GENERATOR.normal(size=(6, 1152)).astype(np.float32)
    expected = [by_formula(video, SHARPNESS, np.arange(30)) for video in videos]
    np.testing.assert_allclose(model({"mean": videos}), expected, rtol=2e-2, atol=1e-3)


def test_a_stored_video_is_not_its_own_neighbour(model: keras.Model) -> None:
    expected = [by_formula(MEANS[video], SHARPNESS, np.delete(np.arange(30), video)) for video in range(6)]
    np.testing.assert_allclose(model({"mean": MEANS[:6]}), expected, rtol=2e-2, atol=1e-3)


def test_training_changes_the_sharpness_and_the_trust_alone(model: keras.Model) -> None:
    trained = keras.models.clone_model(model)
    trained.set_weights(model.get_weights())
    trained.compile("adam", "binary_crossentropy")
    trained.fit({"mean": MEANS}, GENERATOR.integers(0, 2, (30, CLASSES)), verbose=0)
    changed = [
        variable.name
        for variable, other in zip(trained.weights, model.weights, strict=True)
        if not np.array_equal(variable.numpy(), other.numpy())
    ]
    assert changed == ["log_sharpness", "trust"]


def test_a_saved_model_answers_alike(model: keras.Model, tmp_path: Path) -> None:
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded({"mean": MEANS}), model({"mean": MEANS}))


def test_fewer_videos_than_neighbours_all_vote() -> None:
    answer = build_neighbours(MEANS[:2], LABELS[:2], SHARES, neighbours=60)({"mean": MEANS[5:6]})
    votes = np.asarray(answer)[0] - 0.1 * SHARES
    voted = {int(label) for label in LABELS[:2].ravel()} - {NONE}
    assert {label for label in range(CLASSES) if votes[label] > 1e-3} == voted
