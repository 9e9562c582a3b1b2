"""DBoF against its equations; test_cluster_pooling.py tests what all pooling encoders share."""

from collections.abc import Callable

import numpy as np
import pytest

from models.encoders.dbof import DBoF


@pytest.mark.parametrize(("batch_norm", "training"), [(False, False), (False, True), (True, False), (True, True)])
@pytest.mark.parametrize("add_max", [False, True])
def test_it_follows_equations_16_and_17(
    with_random_weights: Callable,
    weights_of: Callable,
    shares_by_formula: Callable,
    videos: list[np.ndarray],
    padded_videos: Callable,
    relative_error: Callable,
    batch_norm: bool,
    training: bool,
    add_max: bool,
) -> None:
    layer = with_random_weights(DBoF(5, 4, batch_norm, add_max))
    expected = []
    for shares in shares_by_formula(weights_of(layer, "assignment"), videos, training):
        pooled = [shares.sum(axis=0), shares.max(axis=0)] if add_max else [shares.sum(axis=0)]
        video = np.concatenate([part / np.sqrt((part**2).sum()) for part in pooled])
        expected.append(video @ weights_of(layer)["projection/kernel"])
    assert relative_error(layer(*padded_videos(), training=training), expected) < 1e-5


@pytest.mark.parametrize("add_max", [False, True])
def test_the_projection_has_the_deviation_of_the_recipe(add_max: bool) -> None:
    layer = DBoF(64, 50, add_max=add_max, seed=0)
    layer.build((1, 1, 100))
    assert np.std(layer.projection.kernel) == pytest.approx(64**-0.5, rel=0.03)
