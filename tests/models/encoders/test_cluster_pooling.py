"""Requirements for every layer that pools frames into clusters."""

from collections.abc import Callable

import keras
import numpy as np
import pytest

from models.encoders.cluster_pooling import normalize_residuals
from models.encoders.dbof import DBoF
from models.encoders.net_fv import NetFV
from models.encoders.net_vlad import NetVLAD
from models.encoders.next_vlad import NeXtVLAD
from models.layers.normalization import l2_normalize

LAYERS = {
    "DBoF": lambda **kw: DBoF(5, 4, **kw),
    "DBoF with batch norm and maximum": lambda **kw: DBoF(5, 4, batch_norm=True, add_max=True, **kw),
    "NetVLAD": lambda **kw: NetVLAD(5, 4, **kw),
    "NetVLAD with batch norm": lambda **kw: NetVLAD(5, 4, batch_norm=True, **kw),
    "NetFV": lambda **kw: NetFV(5, 4, **kw),
    "NetFV with batch norm": lambda **kw: NetFV(5, 4, batch_norm=True, **kw),
    "NeXtVLAD": lambda **kw: NeXtVLAD(5, groups=4, **kw),
}
Build = Callable[..., keras.layers.Layer]
every_layer = pytest.mark.parametrize("build", LAYERS.values(), ids=LAYERS.keys())
training_or_not = pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])


@every_layer
@training_or_not
def test_gradients_are_those_of_finite_differences(
    build: Build, training: bool, with_random_weights: Callable, check_gradients: Callable, padded_videos: Callable
) -> None:
    check_gradients(with_random_weights(build(dtype="float64")), *padded_videos(), training=training)


@every_layer
@training_or_not
def test_padding_does_not_change_the_pooled_video(
    build: Build, training: bool, with_random_weights: Callable, check_padding: Callable
) -> None:
    check_padding(with_random_weights(build()), training)


@every_layer
@training_or_not
def test_the_order_of_the_frames_does_not_matter(
    build: Build, training: bool, with_random_weights: Callable, check_frame_order: Callable
) -> None:
    check_frame_order(with_random_weights(build()), training)


@every_layer
@training_or_not
def test_xla_compiles_layer_and_gradients(
    build: Build, training: bool, with_random_weights: Callable, check_compiled: Callable, padded_videos: Callable
) -> None:
    check_compiled(with_random_weights(build()), *padded_videos(), training=training)


@pytest.mark.parametrize("name", ["DBoF with batch norm and maximum", "NetVLAD", "NetFV with batch norm", "NeXtVLAD"])
def test_jax_gives_the_same_videos(
    name: str, with_random_weights: Callable, run_on_jax: Callable, padded_videos: Callable, relative_error: Callable
) -> None:
    layer = with_random_weights(LAYERS[name]())
    calls = [{"training": False}, {"training": True}]
    for call, output in zip(calls, run_on_jax(layer, padded_videos(), calls), strict=True):
        assert relative_error(output, layer(*padded_videos(), **call)) < 1e-5


@pytest.mark.parametrize("length", [1.0, 1e-5, 0.0], ids=["long", "short", "zero"])
def test_normalize_residuals_equals_normalizing_twice(length: float) -> None:
    residuals = np.random.default_rng(0).normal(size=(2, 6, 3)).astype(np.float32)
    residuals[:, :, 1] *= length / np.linalg.norm(residuals[:, :, 1], axis=1, keepdims=True)
    twice = l2_normalize(keras.ops.reshape(l2_normalize(residuals, axis=1), (2, -1)))
    np.testing.assert_allclose(normalize_residuals(keras.ops.convert_to_tensor(residuals)), twice, rtol=1e-5)
