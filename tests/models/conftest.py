"""Checks that every frame encoder must pass, the small training of training_task.py, and packed shards."""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from components.example_gen.indexed_records import IndexedRecords
from components.example_gen.packing import pack
from components.publishing import Attempt, scratch_folder

LENGTHS = np.array([7, 1, 4])
FRAMES = np.random.default_rng(0).normal(size=(3, 7, 8))


def pad_videos(padding: int = 0, filler: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    mask = np.arange(7 + padding) < LENGTHS[:, None]
    frames = np.pad(FRAMES, ((0, 0), (0, padding), (0, 0)))
    return np.where(mask[..., None], frames, filler).astype(np.float32), mask


def distance(value: Any, reference: Any) -> float:
    value, reference = np.asarray(value, np.float64), np.asarray(reference, np.float64)
    assert value.shape == reference.shape
    return float(np.linalg.norm(value - reference) / np.linalg.norm(reference))


@pytest.fixture(scope="session")
def videos() -> list[np.ndarray]:
    """Three videos of 7, 1 and 4 frames with 8 features, float64: what `padded_videos` pads."""
    return [video[:length] for video, length in zip(FRAMES, LENGTHS, strict=True)]


@pytest.fixture(scope="session")
def padded_videos() -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """`(padding=0, filler=0.0)` -> frames float32 [3, 7 + padding, 8] and mask bool [3, 7 + padding] of `videos`."""
    return pad_videos


@pytest.fixture(scope="session")
def relative_error() -> Callable[[Any, Any], float]:
    """`(value, reference)` -> |value - reference| / |reference|; the shapes must be equal."""
    return distance


@pytest.fixture(scope="session")
def with_random_weights() -> Callable[..., keras.layers.Layer]:
    """`(layer, *inputs)` -> the layer, built, with random weights, so that each affects the output.

    Those of batch and layer normalization (scales, variances) are drawn from 0.5 ... 1.5, the others from N(0, 1).
    Without inputs, `padded_videos()`.
    """

    def randomize(layer: keras.layers.Layer, *inputs: Any) -> keras.layers.Layer:
        layer(*(inputs or pad_videos()))
        rng = np.random.default_rng(2)
        for weight in layer.weights:
            normal, positive = rng.normal(size=weight.shape), rng.uniform(0.5, 1.5, weight.shape)
            weight.assign(positive if "norm" in weight.path.split("/")[-2] else normal)
        return layer

    return randomize


@pytest.fixture(scope="session")
def weights_of() -> Callable[..., dict[str, np.ndarray]]:
    """`(layer, part="")` -> weights of the layer or a sublayer in float64: `{"kernel": ..., "norm/gamma": ...}`."""

    def collect(layer: keras.layers.Layer, part: str = "") -> dict[str, np.ndarray]:
        start = f"{layer.name}/{part}/" if part else f"{layer.name}/"
        return {w.path.removeprefix(start): np.asarray(w, np.float64) for w in layer.weights if start in w.path}

    return collect


@pytest.fixture(scope="session")
def shares_by_formula() -> Callable[..., list[np.ndarray]]:
    """`(weights, videos, training=False)` -> softmax(x W + b) or softmax(BN(x W)) of each video, in float64."""

    def assign(weights: dict[str, np.ndarray], videos: list[np.ndarray], training: bool = False) -> list[np.ndarray]:
        logits = [video @ weights["kernel"] for video in videos]
        if "bias" in weights:
            logits = [z + weights["bias"] for z in logits]
        else:
            every = np.concatenate(logits)
            mean = every.mean(axis=0) if training else weights["norm/moving_mean"]
            variance = every.var(axis=0) if training else weights["norm/moving_variance"]
            scale = weights["norm/gamma"] / np.sqrt(variance + 1e-3)
            logits = [(z - mean) * scale + weights["norm/beta"] for z in logits]
        return [np.exp(z) / np.exp(z).sum(axis=1, keepdims=True) for z in logits]

    return assign


@pytest.fixture(scope="session")
def check_gradients() -> Callable[..., None]:
    """`(layer, *inputs, **call)`: gradients of float inputs and weights are the slopes of the outputs.

    The layer must be in float64; the slopes are finite differences along random directions.
    """

    def check(layer: keras.layers.Layer, *inputs: np.ndarray, **call: Any) -> None:
        assert layer.compute_dtype == "float64"
        varied = [tf.Variable(i, dtype="float64") if i.dtype.kind == "f" else tf.constant(i) for i in inputs]
        towards = np.random.default_rng(3).normal(size=layer(*varied, **call).shape)

        @tf.function
        def loss() -> tf.Tensor:
            return tf.reduce_sum(layer(*varied, **call) * towards)

        with tf.GradientTape() as tape:
            value = loss()
        variables = [i for i in varied if isinstance(i, tf.Variable)]
        variables += [weight.value for weight in layer.trainable_weights]
        gradients = tape.gradient(value, variables)
        rng = np.random.default_rng(4)
        for variable, gradient in zip(variables, gradients, strict=True):
            direction = rng.normal(size=variable.shape)
            variable.assign_add(1e-6 * direction)
            ahead = loss()
            variable.assign_sub(2e-6 * direction)
            behind = loss()
            variable.assign_add(1e-6 * direction)
            slope = float(ahead - behind) / 2e-6
            assert np.sum(gradient * direction) == pytest.approx(slope, rel=1e-6, abs=1e-7), variable.name

    return check


@pytest.fixture(scope="session")
def check_padding() -> Callable[..., None]:
    """`(layer, training=False)`: `padded_videos` give the same result with up to 9 more frames of any values."""

    def check(layer: keras.layers.Layer, training: bool = False) -> None:
        expected = layer(*pad_videos(), training=training)

        @settings(max_examples=20)
        @given(padding=st.integers(0, 9), filler=st.floats(-100, 100, width=32))
        def same(padding: int, filler: float) -> None:
            assert distance(layer(*pad_videos(padding, filler), training=training), expected) < 1e-5

        same()

    return check


@pytest.fixture(scope="session")
def check_frame_order() -> Callable[..., None]:
    """`(layer, training=False)`: `padded_videos` give the same result with their frames in any order."""

    def check(layer: keras.layers.Layer, training: bool = False) -> None:
        frames, mask = pad_videos()
        expected = layer(frames, mask, training=training)

        @settings(max_examples=20)
        @given(st.permutations(range(7)))
        def same(order: list[int]) -> None:
            assert distance(layer(frames[:, order], mask[:, order], training=training), expected) < 1e-5

        same()

    return check


@pytest.fixture(scope="session")
def check_compiled() -> Callable[..., None]:
    """`(layer, *inputs, **call)`: XLA compiles layer and gradients, and the outputs are those of the eager layer."""

    def check(layer: keras.layers.Layer, *inputs: np.ndarray, **call: Any) -> None:
        expected = layer(*inputs, **call)

        @tf.function(jit_compile=True)
        def compiled(*tensors: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
            with tf.GradientTape() as tape:
                output = layer(*tensors, **call)
                loss = tf.reduce_sum(output * output)
            return output, tape.gradient(loss, [weight.value for weight in layer.trainable_weights])

        output, gradients = compiled(*map(tf.constant, inputs))
        assert distance(output, expected) < 1e-5
        assert all(np.all(np.isfinite(gradient)) for gradient in gradients)

    return check


@pytest.fixture(scope="session")
def on_jax(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., dict[str, np.ndarray]]]:
    """`(function, arrays, **arguments)` -> the arrays that this function of jax_process.py returns.

    One process serves all tests, which saves importing Keras and JAX for each. Compiled code runs once: optimizing it
    would take longer than it saves.
    """
    folder = tmp_path_factory.mktemp("jax")
    inputs, results, log = folder / "inputs.npz", folder / "results.npz", folder / "log"
    command = [sys.executable, str(Path(__file__).with_name("jax_process.py"))]
    environment = {
        **os.environ,
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with (
        log.open("wb") as errors,
        subprocess.Popen(command, env=environment, stderr=errors, **pipes) as process,
    ):

        def call(function: str, arrays: dict[str, np.ndarray], **arguments: Any) -> dict[str, np.ndarray]:
            np.savez(inputs, **arrays)
            request = {"function": function, "inputs": str(inputs), "results": str(results), "arguments": arguments}
            print(json.dumps(request), file=process.stdin, flush=True)
            answer = process.stdout.readline()
            assert answer, f"the process has ended: {log.read_text()}"
            error = json.loads(answer)
            assert error is None, error
            with np.load(results) as outputs:
                return dict(outputs)

        yield call


@pytest.fixture(scope="session")
def run_on_jax(on_jax: Callable[..., dict[str, np.ndarray]]) -> Callable[..., list[np.ndarray]]:
    """`(layer, inputs, calls)` -> outputs of the same layer on JAX, compiled: one for each call's keyword arguments."""

    def run(
        layer: keras.layers.Layer, inputs: Sequence[np.ndarray], calls: Sequence[dict[str, Any]] = ({},)
    ) -> list[np.ndarray]:
        arrays = {f"input{i}": array for i, array in enumerate(inputs)}
        arrays |= {f"weight{i}": array for i, array in enumerate(layer.get_weights())}
        recipe = keras.saving.serialize_keras_object(layer)
        # Without it the layer would be built before the call; here the call builds it.
        recipe.pop("build_config", None)
        outputs = on_jax("call_layer", arrays, layer=recipe, inputs=len(inputs), calls=list(calls))
        return [outputs[f"output{i}"] for i in range(len(calls))]

    return run


@pytest.fixture(scope="session")
def task() -> Any:
    """The module training_task.py: a small training, ways to interrupt it, and its expected results."""
    spec = importlib.util.spec_from_file_location("training_task", Path(__file__).with_name("training_task.py"))
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def uninterrupted(task: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Model and log of the task's training without interruption; patience ends it after epoch 4."""
    model, log = task.run(
        tmp_path_factory.mktemp("uninterrupted"), task.RECIPE.model_copy(update={"checkpoint_minutes": 60.0})
    )
    assert (log.best_epoch, len(log.epochs), log.stopped_by, log.resumed_from) == (2, 5, "patience", None)
    return model, log


@dataclass(frozen=True)
class Shards:
    """Packed frame-level videos.

    Attributes:
        files: of records.
        videos: frames uint8 [n, 1152] of each, in the order of the files.
        labels: ids of each.
    """

    files: list[str]
    videos: list[np.ndarray]
    labels: list[list[int]]


@pytest.fixture(scope="session")
def write_shards(frame_record: Callable[..., bytes]) -> Callable[..., Shards]:
    """`(folder, counts, longest=20, classes=10)` -> files with so many videos each, of random frames and labels."""

    def write(folder: Path, counts: tuple[int, ...], longest: int = 20, classes: int = 10) -> Shards:
        generator = np.random.default_rng(sum(counts))
        shards = Shards([], [], [])
        with scratch_folder(str(folder)) as scratch:
            for number, count in enumerate(counts):
                shards.files.append(f"{folder}/Split-train/data-{number:02d}")
                with Attempt(scratch) as attempt:
                    output = IndexedRecords(attempt, shards.files[-1])
                    for _ in range(count):
                        frames = generator.integers(0, 256, (generator.integers(1, longest + 1), 1152), np.uint8)
                        labels = sorted(generator.choice(classes, generator.integers(1, 4), replace=False).tolist())
                        record = frame_record("abcd", labels, rgb=frames[:, :1024], audio=frames[:, 1024:])
                        video = pack(record, "frame", classes)
                        output.write(video.example, video.starts, video.frames, video.labels)
                        shards.videos.append(frames)
                        shards.labels.append(labels)
                    output.finish()
        return shards

    return write


@pytest.fixture(scope="session")
def shards(write_shards: Callable[..., Shards], tmp_path_factory: pytest.TempPathFactory) -> Shards:
    """53 videos of up to 20 frames in three files, of which the second is empty."""
    return write_shards(tmp_path_factory.mktemp("shards"), (30, 0, 23))
