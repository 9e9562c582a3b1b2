"""NetVLAD against its equations; test_cluster_pooling.py tests what all pooling encoders share."""

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from models.encoders.net_vlad import NetVLAD

VARIANTS = pytest.mark.parametrize(("batch_norm", "training"), [(False, False), (True, False), (True, True)])


@pytest.fixture
def build(with_random_weights: Callable) -> Callable[..., NetVLAD]:
    return lambda batch_norm=False, dtype="float32": with_random_weights(NetVLAD(5, 4, batch_norm, dtype=dtype))


@pytest.fixture
def by_equations(
    videos: list[np.ndarray], weights_of: Callable, shares_by_formula: Callable
) -> Callable[..., np.ndarray]:
    """Equation 15, frame by frame and cluster by cluster, in float64."""

    def pool(layer: NetVLAD, training: bool = False) -> np.ndarray:
        weights = weights_of(layer)
        pooled = []
        for video, shares in zip(
            videos, shares_by_formula(weights_of(layer, "assignment"), videos, training), strict=True
        ):
            residuals = np.zeros((video.shape[1], layer.clusters))
            for k in range(layer.clusters):
                for f in range(len(video)):
                    residuals[:, k] += shares[f, k] * (video[f] - weights["centres"][:, k])
                residuals[:, k] /= np.linalg.norm(residuals[:, k])
            flat = residuals.reshape(-1)
            pooled.append(flat / np.linalg.norm(flat) @ weights["projection/kernel"])
        return np.stack(pooled)

    return pool


@VARIANTS
def test_it_follows_equations_15_and_16(
    build: Callable,
    by_equations: Callable,
    padded_videos: Callable,
    relative_error: Callable,
    batch_norm: bool,
    training: bool,
) -> None:
    layer = build(batch_norm)
    expected = by_equations(layer, training)
    assert relative_error(layer(*padded_videos(), training=training), expected) < 1e-5


@pytest.mark.parametrize("dtype", ["float32", "mixed_float16"])
def test_a_cluster_on_top_of_all_frames_leaves_the_gradients_finite(build: Callable, dtype: str) -> None:
    layer = build(dtype=dtype)
    centres = np.asarray(layer.centres).copy()
    centres[:, 0] = 0
    layer.centres.assign(centres)
    frames = tf.Variable(np.zeros((1, 2, 8), np.float16 if dtype == "mixed_float16" else np.float32))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(frames, np.ones((1, 2), bool)))
    gradients = tape.gradient(loss, [frames, *(weight.value for weight in layer.trainable_weights)])
    assert all(np.all(np.isfinite(gradient)) for gradient in gradients)


def test_initial_weights_have_the_deviations_of_the_recipe() -> None:
    layer = NetVLAD(64, 50, seed=0)
    layer.build((1, 1, 100))
    assert np.std(layer.centres) == pytest.approx(100**-0.5, rel=0.03)
    assert np.std(layer.projection.kernel) == pytest.approx(64**-0.5, rel=0.03)
    assert np.abs(np.corrcoef(np.ravel(layer.assignment.kernel), np.ravel(layer.centres))[0, 1]) < 0.1
