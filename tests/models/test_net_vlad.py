"""NetVLAD against its equations, whatever the padding, on both backends."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from models.net_vlad import NetVLAD

LENGTHS = np.array([7, 1, 4])
MASK = np.arange(7) < LENGTHS[:, None]
FRAMES = np.random.default_rng(0).normal(size=(3, 7, 6))


def build(batch_norm: bool, dtype: str = "float32") -> NetVLAD:
    """A layer none of whose weights is 0 or 1, so that each of them shows in the output."""
    layer = NetVLAD(5, 4, batch_norm, seed=1, dtype=dtype)
    layer.build((1, 1, 6))
    rng = np.random.default_rng(2)
    for weight in layer.weights:
        weight.assign(rng.uniform(0.5, 1.5, weight.shape) if "norm" in weight.path else rng.normal(size=weight.shape))
    return layer


def by_equations(layer: NetVLAD, videos: list[np.ndarray], training: bool = False) -> np.ndarray:
    """Equations 15 and 16, frame by frame and cluster by cluster, in float64."""
    weights = {w.path.split("/", 1)[-1].removeprefix("norm/"): np.asarray(w, np.float64) for w in layer.weights}
    logits = [video @ weights["assignment"] for video in videos]
    if layer.batch_norm:
        every = np.concatenate(logits)
        mean = every.mean(axis=0) if training else weights["moving_mean"]
        variance = every.var(axis=0) if training else weights["moving_variance"]
        scale = weights["gamma"] / np.sqrt(variance + 1e-3)
        logits = [(z - mean) * scale + weights["beta"] for z in logits]
    else:
        logits = [z + weights["bias"] for z in logits]
    pooled = []
    for video, z in zip(videos, logits, strict=True):
        share = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        residuals = np.zeros((video.shape[1], layer.clusters))
        for k in range(layer.clusters):
            for f in range(len(video)):
                residuals[:, k] += share[f, k] * (video[f] - weights["centres"][:, k])
            residuals[:, k] /= np.linalg.norm(residuals[:, k])
        flat = residuals.reshape(-1)
        pooled.append(flat / np.linalg.norm(flat) @ weights["projection"])
    return np.stack(pooled)


def relative_error(value: np.ndarray, reference: np.ndarray) -> float:
    return float(np.linalg.norm(value - reference) / np.linalg.norm(reference))


REAL_FRAMES = [video[:length] for video, length in zip(FRAMES, LENGTHS, strict=True)]


@pytest.mark.parametrize(("batch_norm", "training"), [(False, False), (True, False), (True, True)])
def test_it_follows_equations_15_and_16(batch_norm: bool, training: bool) -> None:
    layer = build(batch_norm)
    expected = by_equations(layer, REAL_FRAMES, training)
    pooled = layer(FRAMES.astype(np.float32), MASK, training=training)
    assert relative_error(np.asarray(pooled), expected) < 1e-5


@pytest.mark.parametrize(("batch_norm", "training"), [(False, False), (True, False), (True, True)])
def test_its_gradients_are_those_of_finite_differences(batch_norm: bool, training: bool) -> None:
    layer = build(batch_norm, "float64")
    frames = tf.Variable(FRAMES)
    towards = np.random.default_rng(3).normal(size=(3, 4))

    def loss() -> tf.Tensor:
        return tf.reduce_sum(layer(frames, MASK, training=training) * towards)

    with tf.GradientTape() as tape:
        value = loss()
    variables = [frames, *(weight.value for weight in layer.trainable_weights)]
    for variable, gradient in zip(variables, tape.gradient(value, variables), strict=True):
        direction = np.random.default_rng(4).normal(size=variable.shape)
        variable.assign_add(1e-6 * direction)
        ahead = loss()
        variable.assign_sub(2e-6 * direction)
        behind = loss()
        variable.assign_add(1e-6 * direction)
        assert np.sum(gradient * direction) == pytest.approx(float(ahead - behind) / 2e-6, rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("training", [False, True])
@settings(max_examples=20)
@given(padding=st.integers(0, 9), filler=st.floats(-100, 100, width=32))
def test_padding_does_not_change_the_pooled_video(
    batch_norm: bool, training: bool, padding: int, filler: float
) -> None:
    layer = build(batch_norm)
    expected = by_equations(layer, REAL_FRAMES, training)
    padded = np.full((3, 7 + padding, 6), filler, np.float32)
    for row, video in zip(padded, REAL_FRAMES, strict=True):
        row[: len(video)] = video
    pooled = layer(padded, np.arange(7 + padding) < LENGTHS[:, None], training=training)
    assert relative_error(np.asarray(pooled), expected) < 1e-5


def test_padding_does_not_change_what_batch_normalization_remembers() -> None:
    layer = build(batch_norm=True)
    assert layer.norm is not None
    before = np.asarray(layer.norm.moving_mean)
    layer(np.where(MASK[..., None], FRAMES, 1e3).astype(np.float32), MASK, training=True)
    seen = np.concatenate(REAL_FRAMES) @ np.asarray(layer.assignment)
    np.testing.assert_allclose(layer.norm.moving_mean, 0.99 * before + 0.01 * seen.mean(axis=0), rtol=1e-5)


@given(st.permutations(range(7)))
def test_the_order_of_the_frames_does_not_matter(order: list[int]) -> None:
    layer = build(batch_norm=True)
    shuffled = layer(FRAMES[:, order].astype(np.float32), MASK[:, order])
    assert relative_error(np.asarray(shuffled), by_equations(layer, REAL_FRAMES)) < 1e-5


@pytest.mark.parametrize("dtype", ["float32", "mixed_float16"])
def test_a_cluster_on_top_of_all_frames_leaves_the_gradients_finite(dtype: str) -> None:
    layer = build(batch_norm=False, dtype=dtype)
    centres = np.asarray(layer.centres).copy()
    centres[:, 0] = 0
    layer.centres.assign(centres)
    frames = tf.Variable(np.zeros((1, 2, 6), np.float16 if dtype == "mixed_float16" else np.float32))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(frames, np.ones((1, 2), bool)))
    gradients = tape.gradient(loss, [frames, *(weight.value for weight in layer.trainable_weights)])
    assert all(np.all(np.isfinite(gradient)) for gradient in gradients)


def test_initial_weights_have_the_deviations_of_the_recipe() -> None:
    layer = NetVLAD(64, 50, seed=0)
    layer.build((1, 1, 100))
    deviations = {"assignment": 100**-0.5, "centres": 100**-0.5, "projection": 64**-0.5}
    for name, deviation in deviations.items():
        assert np.std(getattr(layer, name)) == pytest.approx(deviation, rel=0.03), name
    assert np.abs(np.corrcoef(np.ravel(layer.assignment), np.ravel(layer.centres))[0, 1]) < 0.1


ON_JAX = """
import sys
import keras, numpy as np
from models.net_vlad import NetVLAD
given = np.load(sys.argv[1])
layer = NetVLAD(5, 4, batch_norm=True)
layer.build((None, None, 6))
layer.set_weights([given[str(i)] for i in range(len(layer.weights))])
pooled = [layer(given["frames"], given["mask"], training=training) for training in (False, True)]
assert keras.backend.backend() == "jax"
np.save(sys.argv[2], np.stack(pooled))
"""


def test_it_follows_the_equations_on_jax(tmp_path: Path) -> None:
    layer = build(batch_norm=True)
    weights = {str(i): weight for i, weight in enumerate(layer.get_weights())}
    np.savez(tmp_path / "given.npz", frames=FRAMES.astype(np.float32), mask=MASK, **weights)
    command = [sys.executable, "-c", ON_JAX, str(tmp_path / "given.npz"), str(tmp_path / "pooled.npy")]
    environment = {
        **os.environ,
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    inference, training = np.load(tmp_path / "pooled.npy")
    assert relative_error(inference, by_equations(layer, REAL_FRAMES)) < 1e-5
    assert relative_error(training, by_equations(layer, REAL_FRAMES, training=True)) < 1e-5
