"""Soft assignment against its formula."""

from collections.abc import Callable

import keras
import numpy as np
import pytest

from models.encoders.soft_assignment import SoftAssignment

VARIANTS = pytest.mark.parametrize(("batch_norm", "training"), [(False, False), (True, False), (True, True)])


@pytest.fixture
def build(with_random_weights: Callable) -> Callable[..., SoftAssignment]:
    return lambda batch_norm=False, dtype="float32": with_random_weights(SoftAssignment(5, batch_norm, dtype=dtype))


@pytest.fixture
def by_formula(
    videos: list[np.ndarray], weights_of: Callable, shares_by_formula: Callable
) -> Callable[..., np.ndarray]:
    """Shares of the padded videos: 0 where there is no frame."""

    def pad(layer: SoftAssignment, training: bool = False) -> np.ndarray:
        padded = np.zeros((3, 7, 5))
        for row, shares in zip(padded, shares_by_formula(weights_of(layer), videos, training), strict=True):
            row[: len(shares)] = shares
        return padded

    return pad


@VARIANTS
def test_it_follows_the_formula(
    build: Callable,
    by_formula: Callable,
    padded_videos: Callable,
    relative_error: Callable,
    batch_norm: bool,
    training: bool,
) -> None:
    layer = build(batch_norm)
    expected = by_formula(layer, training)
    assert relative_error(layer(*padded_videos(filler=9.0), training=training), expected) < 1e-5


def test_padding_does_not_change_the_moving_moments(
    build: Callable, padded_videos: Callable, videos: list[np.ndarray]
) -> None:
    layer = build(batch_norm=True)
    before = np.asarray(layer.norm.moving_mean)
    layer(*padded_videos(padding=3, filler=1e3), training=True)
    seen = np.concatenate(videos) @ np.asarray(layer.kernel)
    np.testing.assert_allclose(layer.norm.moving_mean, 0.9 * before + 0.1 * seen.mean(axis=0), rtol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_shares_add_up_to_1_in_half_precision(policy: str, padded_videos: Callable) -> None:
    frames, mask = padded_videos()
    shares = SoftAssignment(300, dtype=policy)(frames, mask)
    assert keras.backend.standardize_dtype(shares.dtype) == "float32"
    np.testing.assert_allclose(np.sum(shares, axis=-1), mask, atol=1e-6)


def test_initial_weights_have_the_deviations_of_the_recipe() -> None:
    layer = SoftAssignment(64, seed=0)
    layer.build((1, 1, 100))
    assert np.std(layer.kernel) == pytest.approx(100**-0.5, rel=0.03)
    assert np.all(np.asarray(layer.bias) == 0)
