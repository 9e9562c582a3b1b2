"""NetFV against its equations; test_cluster_pooling.py tests what all pooling encoders share."""

from collections.abc import Callable

import numpy as np
import pytest

from models.encoders.net_fv import NetFV


@pytest.fixture
def by_equations(
    videos: list[np.ndarray], weights_of: Callable, shares_by_formula: Callable
) -> Callable[..., np.ndarray]:
    """Equation 20 with z = (x - c) / sigma, frame by frame and cluster by cluster, in float64."""

    def pool(layer: NetFV, training: bool = False) -> np.ndarray:
        weights = weights_of(layer)
        sigma = np.log(1 + np.exp(weights["rho"])) + 1e-3
        pooled = []
        for video, shares in zip(
            videos, shares_by_formula(weights_of(layer, "assignment"), videos, training), strict=True
        ):
            means, deviations = np.zeros((2, video.shape[1], layer.clusters))
            for k in range(layer.clusters):
                for f in range(len(video)):
                    z = (video[f] - weights["centres"][:, k]) / sigma[:, k]
                    means[:, k] += shares[f, k] * z
                    deviations[:, k] += shares[f, k] * (z**2 - 1)
            halves = [half / np.linalg.norm(half, axis=0) for half in (means, deviations)]
            flat = np.concatenate([half.reshape(-1) / np.linalg.norm(half) for half in halves])
            pooled.append(flat @ weights["projection/kernel"])
        return np.stack(pooled)

    return pool


@pytest.mark.parametrize(("batch_norm", "training"), [(False, False), (True, False), (True, True)])
def test_it_follows_equation_20(
    with_random_weights: Callable,
    by_equations: Callable,
    padded_videos: Callable,
    relative_error: Callable,
    batch_norm: bool,
    training: bool,
) -> None:
    layer = with_random_weights(NetFV(5, 4, batch_norm))
    expected = by_equations(layer, training)
    assert relative_error(layer(*padded_videos(), training=training), expected) < 1e-5


def test_initial_weights_are_those_of_the_recipe() -> None:
    layer = NetFV(64, 50, seed=0)
    layer.build((1, 1, 100))
    np.testing.assert_allclose(np.log1p(np.exp(layer.rho)) + 1e-3, 1, rtol=1e-6)
    assert np.std(layer.centres) == pytest.approx(100**-0.5, rel=0.03)
    assert np.std(layer.projection.kernel) == pytest.approx(64**-0.5, rel=0.03)
    assert np.abs(np.corrcoef(np.ravel(layer.assignment.kernel), np.ravel(layer.centres))[0, 1]) < 0.1


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_the_spread_of_300_frames_survives_half_precision(policy: str, relative_error: Callable) -> None:
    # Half precision holds these frames exactly. FV2 is a difference of sums four times as large: were they computed in
    # bfloat16, it would be 0.8 % off.
    frames = np.random.default_rng(0).choice([-1.0, 1.0, 0.5, -0.5, 1.5, -1.5], (2, 300, 16)).astype(np.float32)
    mask = np.ones((2, 300), bool)
    pooled = []
    for dtype in (policy, "float32"):
        layer = NetFV(4, 8, seed=0, dtype=dtype)
        layer.build((None, None, 16))
        layer.assignment.kernel.assign(np.zeros((16, 4)))
        pooled.append(np.asarray(layer.pool(frames, layer.assignment(frames, mask))))
    half, precise = (video[:, video.shape[1] // 2 :] for video in pooled)
    assert relative_error(half, precise) < 1e-4
