"""The transformer encoder against its equations and Keras' attention, whatever the padding, on both backends."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from models.encoders.transformer import SelfAttention, Transformer

Videos = list[np.ndarray]
# Narrow heads have one implementation, wide ones (8 for frames of 8 features) another one in training.
SHAPES = {
    "one wide head": {"heads": 1},
    "three wide heads": {"heads": 3},
    "two narrow heads": {"heads": 2, "key_dim": 3},
    "two layers": {"heads": 2, "layers": 2},
}
every_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
training_or_not = pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])


def build(shape: dict[str, int], **kwargs: Any) -> Transformer:
    return Transformer(dense_units=5, max_frames=20, **shape, **kwargs)


def normalized(x: np.ndarray, weights: dict[str, np.ndarray], name: str) -> np.ndarray:
    centred = x - x.mean(axis=1, keepdims=True)
    scale = np.sqrt(np.mean(centred**2, axis=1, keepdims=True) + 1e-3)
    return centred / scale * weights[f"{name}/gamma"] + weights[f"{name}/beta"]


def attend(x: np.ndarray, weights: dict[str, np.ndarray]) -> np.ndarray:
    """Section 3.2 of arXiv 1706.03762: each head by itself, then W^O on all of them joined."""
    heads, key_dim, _ = weights["output"].shape
    joined = []
    for h in range(heads):
        q, k, v = (x @ weights[name][:, h] + weights[f"{name}_bias"][h] for name in ("query", "key", "value"))
        share = np.exp(q @ k.T / np.sqrt(key_dim))
        joined.append(share / share.sum(axis=1, keepdims=True) @ v)
    return np.concatenate(joined, axis=1) @ weights["output"].reshape(heads * key_dim, -1) + weights["output_bias"]


def by_equations(layer: Transformer, videos: Videos, weights: dict[str, np.ndarray]) -> np.ndarray:
    """Section 3.1 of arXiv 1706.03762, one video at a time, and the maximum."""
    pooled = []
    for video in videos:
        x = video + weights["positions"][: len(video)]
        for nth in range(layer.layers):
            block = {path.removeprefix(f"block_{nth}/"): value for path, value in weights.items()}
            attention = {path.removeprefix("attention/"): value for path, value in block.items()}
            x = normalized(x + attend(x, attention), block, "attention_norm")
            hidden = np.maximum(x @ block["hidden/kernel"] + block["hidden/bias"], 0)
            x = normalized(x + hidden @ block["output/kernel"] + block["output/bias"], block, "output_norm")
        pooled.append(x.max(axis=0))
    return np.stack(pooled)


@every_shape
@training_or_not
def test_it_follows_the_equations(
    shape: dict[str, int],
    training: bool,
    videos: Videos,
    padded_videos: Any,
    with_random_weights: Any,
    weights_of: Any,
    relative_error: Any,
) -> None:
    layer = with_random_weights(build(shape))
    expected = by_equations(layer, videos, weights_of(layer))
    assert relative_error(layer(*padded_videos(), training=training), expected) < 1e-5


@every_shape
@training_or_not
def test_its_gradients_are_those_of_finite_differences(
    shape: dict[str, int], training: bool, padded_videos: Any, with_random_weights: Any, check_gradients: Any
) -> None:
    layer = with_random_weights(build(shape, dtype="float64"))
    check_gradients(layer, *padded_videos(), training=training)


@every_shape
@training_or_not
def test_padding_does_not_change_the_pooled_video(
    shape: dict[str, int], training: bool, with_random_weights: Any, check_padding: Any
) -> None:
    check_padding(with_random_weights(build(shape)), training)


@training_or_not
def test_padding_to_up_to_300_frames_changes_neither_pooled_video_nor_gradients(
    training: bool, relative_error: Any
) -> None:
    layer = Transformer(2, 5, seed=1)
    layer.build((None, None, 8))

    @tf.function(input_signature=[tf.TensorSpec((None, None, 8)), tf.TensorSpec((None, None), tf.bool)])
    def slopes(frames: tf.Tensor, mask: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            pooled = layer(frames, mask, training=training)
            loss = tf.reduce_sum(pooled * tf.linspace(1.0, 2.0, 8))
        # The key's bias has no effect: its gradient is rounding error.
        effective = [weight.value for weight in layer.trainable_weights if not weight.path.endswith("key_bias")]
        return [pooled, *tape.gradient(loss, effective)]

    @settings(max_examples=10)
    @given(st.integers(20, 300), st.integers(0, 280), st.floats(-100, 100, width=32), st.integers(0, 9))
    def same(length: int, padding: int, filler: float, seed: int) -> None:
        frames = np.random.default_rng(seed).normal(size=(2, length, 8)).astype(np.float32)
        more = ((0, 0), (0, min(padding, 300 - length)))
        mask = np.ones((2, length), bool)
        padded = np.pad(frames, (*more, (0, 0)), constant_values=filler), np.pad(mask, more)
        for value, reference in zip(slopes(*padded), slopes(frames, mask), strict=True):
            assert relative_error(value, reference) < 1e-5

    same()


@pytest.mark.parametrize(("heads", "key_dim"), [(1, 8), (3, 8), (2, 3)])
def test_its_attention_equals_keras_multi_head_attention(
    heads: int, key_dim: int, padded_videos: Any, relative_error: Any
) -> None:
    frames, mask = padded_videos(padding=5, filler=3.0)
    ours, keras_own = SelfAttention(heads, key_dim, seed=1), keras.layers.MultiHeadAttention(heads, key_dim)
    ours.build(frames.shape)
    keras_own.build(frames.shape, frames.shape)
    ours.set_weights([np.random.default_rng(2).normal(size=weight.shape) for weight in keras_own.weights])
    keras_own.set_weights(ours.get_weights())
    positions = np.random.default_rng(3).normal(size=frames.shape[1:]).astype(np.float32)
    x = frames + positions
    expected = keras_own(x, x, attention_mask=mask[:, None, :])
    for training in (False, True):
        assert relative_error(ours(frames, positions, mask, training=training), expected) < 1e-5


def test_its_attention_starts_like_that_of_keras_except_for_equal_queries_and_keys() -> None:
    ours, keras_own = SelfAttention(3, 40, seed=1), keras.layers.MultiHeadAttention(3, 40)
    ours.build((None, None, 50))
    keras_own.build((None, None, 50), (None, None, 50))
    for weight, reference in zip(ours.weights, keras_own.weights, strict=True):
        assert np.std(weight) == pytest.approx(np.std(reference), rel=0.05), weight.path
    assert abs(np.corrcoef(np.ravel(ours.query), np.ravel(ours.key))[0, 1]) < 0.1


def test_weights_start_different() -> None:
    layer = Transformer(2, 8, layers=3, key_dim=4, max_frames=8, seed=1)
    layer.build((None, None, 8))
    starts = [weight.numpy().tobytes() for weight in layer.weights if np.std(weight) > 0]
    assert len(set(starts)) == len(starts) == 1 + 3 * 6


def test_products_of_weights_are_computed_only_if_they_save_work() -> None:
    def products(batch: int | None, key_dim: int, training: bool) -> bool:
        layer = SelfAttention(1, key_dim)
        layer.build((None, None, 16))
        graph = tf.function(lambda frames, mask: layer(frames, None, mask, training=training)).get_concrete_function(
            tf.TensorSpec((batch, 10, 16)), tf.TensorSpec((batch, 10), tf.bool)
        )
        shapes = [tuple(op.outputs[0].shape) for op in graph.graph.get_operations() if op.type == "Einsum"]
        return (16, 1, 16) in shapes

    assert products(8, 16, training=True) and products(None, 16, training=True)
    assert not products(8, 16, training=False)
    assert not products(8, 4, training=True)
    assert not products(1, 16, training=True)


def test_too_many_frames_are_refused(with_random_weights: Any, padded_videos: Any) -> None:
    layer = with_random_weights(build({"heads": 1}, name="encoder"))
    with pytest.raises(ValueError, match=r"encoder: 21 frames a video, at most 20 \(max_frames\)"):
        layer(*padded_videos(padding=14))


@pytest.mark.parametrize(("shape", "training"), [("three wide heads", True), ("two narrow heads", False)])
def test_xla_compiles_it(
    shape: str, training: bool, padded_videos: Any, with_random_weights: Any, check_compiled: Any
) -> None:
    check_compiled(with_random_weights(build(SHAPES[shape])), *padded_videos(), training=training)


def test_it_follows_the_equations_on_jax(
    videos: Videos,
    padded_videos: Any,
    with_random_weights: Any,
    weights_of: Any,
    relative_error: Any,
    run_on_jax: Any,
) -> None:
    layer = with_random_weights(build(SHAPES["two layers"]))
    expected = by_equations(layer, videos, weights_of(layer))
    for pooled in run_on_jax(layer, padded_videos(), [{"training": False}, {"training": True}]):
        assert relative_error(pooled, expected) < 1e-5
