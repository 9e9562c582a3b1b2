"""The whole network: streams, precision, seeds, files, the view for training."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from models.encoders.average import mean_of_frames
from models.layers.quantization import dequantize
from models.settings import ModelSettings
from models.video_classifier import build_video_classifier, reads_frames, training_view

CLASSES = 7
RNG = np.random.default_rng(0)
FRAMES = {"frames": RNG.integers(0, 256, (3, 6, 1152), np.uint8), "num_frames": np.array([6, 1, 4], np.int32)}
MEANS = {"mean": RNG.uniform(-2, 2, (3, 1152)).astype(np.float32)}

AVERAGE: dict[str, Any] = {"name": "average"}
NETVLAD: dict[str, Any] = {"name": "netvlad", "clusters": 4}
LSTM: dict[str, Any] = {"name": "lstm", "units": 3}
NEXTVLAD: dict[str, Any] = {"name": "nextvlad", "clusters": 4, "hidden_size": 16}
NETVLAD_BATCH_NORM = {**NETVLAD, "batch_norm": True}


def build(seed: int = 5, **settings: Any) -> keras.Model:
    return build_video_classifier(ModelSettings.model_validate(settings), CLASSES, seed)


def inputs_of(model: keras.Model) -> dict[str, np.ndarray]:
    return MEANS if "mean" in model.input else FRAMES


@pytest.mark.parametrize(("encoder", "inputs"), [(AVERAGE, MEANS), (NETVLAD, FRAMES)])
def test_the_encoder_determines_the_inputs_of_the_model(encoder: dict[str, Any], inputs: dict[str, np.ndarray]) -> None:
    settings = ModelSettings.model_validate({"encoder": encoder})
    model = build_video_classifier(settings, CLASSES, 0)
    assert reads_frames(settings, "frame") is ("frames" in inputs)
    assert not reads_frames(settings, "video")
    assert {name: tensor.dtype for name, tensor in model.input.items()} == {n: a.dtype for n, a in inputs.items()}
    probabilities = np.asarray(model(inputs))
    assert probabilities.shape == (3, CLASSES)
    assert np.all((probabilities > 0) & (probabilities < 1))


@pytest.mark.parametrize(
    "settings",
    [
        {"encoder": NEXTVLAD, "two_stream": True},
        {"encoder": NETVLAD_BATCH_NORM, "context_gating": True, "gate_batch_norm": True},
    ],
)
def test_moving_moments_follow_those_of_the_batches_within_100_steps(settings: dict[str, Any]) -> None:
    model = build(**settings)
    for _ in range(100):
        trained = model(FRAMES, training=True)
    # With a momentum of 0.99 a third of the initial moments would be left.
    np.testing.assert_allclose(model(FRAMES), trained, atol=0.01)


@pytest.fixture(params=["mixed_bfloat16", "mixed_float16"])
def half_precision(request: pytest.FixtureRequest) -> Iterator[str]:
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy("float32")


GATED: dict[str, Any] = {
    "encoder": NETVLAD,
    "two_stream": True,
    "context_gating": True,
    "hidden_units": (8,),
    "normalize_frames": True,
}


@pytest.mark.parametrize("settings", [GATED, {"encoder": AVERAGE, "hidden_units": (8,)}])
def test_probabilities_are_float32_in_half_precision(half_precision: str, settings: dict[str, Any]) -> None:
    model = build(**settings)
    outputs = [model(inputs_of(model)), training_view(model)[0](inputs_of(model))]
    keras.config.set_dtype_policy("float32")
    precise = build(**settings)(inputs_of(model))
    assert [output.dtype for output in outputs] == [tf.float32, tf.float32]
    half = keras.ops.cast(outputs[0], half_precision.removeprefix("mixed_"))
    assert np.any(outputs[0] != keras.ops.cast(half, "float32")), "rounded to half precision on the way"
    np.testing.assert_allclose(outputs[0], precise, atol=0.01)


def test_plain_probabilities_are_trained_through_logits_with_the_same_weights() -> None:
    model = build(encoder=AVERAGE, hidden_units=(8,))
    view, from_logits = training_view(model)
    assert from_logits
    np.testing.assert_allclose(keras.ops.sigmoid(view(MEANS)), model(MEANS), rtol=1e-6)
    view.compile(keras.optimizers.SGD(1e-4), keras.losses.BinaryCrossentropy(from_logits=True))
    before = np.asarray(model(MEANS))
    view.fit(MEANS, np.ones((3, CLASSES), np.float32), verbose=0)
    assert np.log(model(MEANS)).mean() > np.log(before).mean()


def test_gated_probabilities_are_trained_as_they_are() -> None:
    model = build(encoder=AVERAGE, context_gating=True)
    view, from_logits = training_view(model)
    assert not from_logits and view is not model, "compiled, the model itself would be saved with the optimizer's state"
    np.testing.assert_array_equal(view(MEANS), model(MEANS))


def test_gates_apply_to_the_pooled_video_and_to_the_probabilities() -> None:
    model = build(encoder=AVERAGE, context_gating=True)
    (kernel, bias), (head, head_bias), (last, last_bias) = (model.get_weights()[i : i + 2] for i in (0, 2, 4))

    def sigmoid(z: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-z.astype(np.float64)))

    pooled = MEANS["mean"] * sigmoid(MEANS["mean"] @ kernel + bias)
    probabilities = sigmoid(pooled @ head + head_bias)
    np.testing.assert_allclose(model(MEANS), probabilities * sigmoid(probabilities @ last + last_bias), rtol=1e-4)


def test_each_stream_reads_its_own_columns() -> None:
    model = build(encoder=NETVLAD, two_stream=True)
    streams = keras.Model(model.input, [model.get_layer(name).output for name in ("rgb_encoder", "audio_encoder")])
    silent = {**FRAMES, "frames": FRAMES["frames"].copy()}
    silent["frames"][..., 1024:] = 0
    (rgb, audio), (rgb_silent, audio_silent) = streams(FRAMES), streams(silent)
    assert (rgb.shape, audio.shape) == ((3, 1024), (3, 128))
    np.testing.assert_array_equal(rgb, rgb_silent)
    assert np.all(np.any(np.asarray(audio != audio_silent), axis=1))


def test_each_stream_has_its_own_dense_layers() -> None:
    model = build(encoder=AVERAGE, two_stream=True, hidden_units=(8,), hidden_units_audio=(4,))
    (rgb, rgb_bias), (audio, audio_bias), (head, bias) = (model.get_weights()[i : i + 2] for i in (0, 2, 4))
    hidden = [MEANS["mean"][:, :1024] @ rgb + rgb_bias, MEANS["mean"][:, 1024:] @ audio + audio_bias]
    logits = np.maximum(np.concatenate(hidden, axis=1), 0) @ head + bias
    np.testing.assert_allclose(training_view(model)[0](MEANS), logits, rtol=1e-4, atol=1e-5)


def test_normalized_frames_are_scaled_to_length_1_before_they_are_split() -> None:
    model = build(encoder=NETVLAD, two_stream=True, normalize_frames=True)
    frames, _ = keras.Model(model.input, model.get_layer("decoder").output)(FRAMES)
    values = FRAMES["frames"].astype(np.float64) * 4 / 255 + 4 / 512 - 2
    np.testing.assert_allclose(frames, values / np.linalg.norm(values, axis=-1, keepdims=True), rtol=1e-5, atol=1e-7)


def test_each_stream_can_be_scaled_to_length_1() -> None:
    model = build(encoder=NETVLAD, normalize_frames="streams")
    frames, _ = keras.Model(model.input, model.get_layer("decoder").output)(FRAMES)
    values = FRAMES["frames"].astype(np.float64) * 4 / 255 + 4 / 512 - 2
    for stream, scaled in zip(np.split(values, [1024], axis=-1), np.split(frames, [1024], axis=-1), strict=True):
        expected = stream / np.linalg.norm(stream, axis=-1, keepdims=True)
        np.testing.assert_allclose(scaled, expected, rtol=1e-5, atol=1e-7)


def test_a_normalized_mean_has_no_scale() -> None:
    doubled = {"mean": 2 * MEANS["mean"]}
    normalized, plain = build(encoder=AVERAGE, normalize_frames=True), build(encoder=AVERAGE)
    np.testing.assert_allclose(normalized(MEANS), normalized(doubled), rtol=1e-6)
    assert not np.allclose(plain(MEANS), plain(doubled), rtol=1e-2)


DROPPING: dict[str, Any] = {**GATED, "pooled_dropout": 0.35, "dropout": 0.35, "hidden_units": (40, 40)}


def test_the_same_seed_gives_the_same_weights_and_the_same_dropout() -> None:
    first, second = build(seed=1, **DROPPING), build(seed=1, **DROPPING)
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    steps, again = ([np.asarray(model(FRAMES, training=True)) for _ in range(3)] for model in (first, second))
    np.testing.assert_array_equal(steps, again)
    assert not np.array_equal(steps[0], steps[1]), "the same dropout mask at every step"


def test_another_seed_gives_other_weights() -> None:
    for a, b in zip(build(seed=1, **DROPPING).get_weights(), build(seed=2, **DROPPING).get_weights(), strict=True):
        assert a.ndim == 1 or not np.array_equal(a, b)


def test_every_layer_has_its_own_seed() -> None:
    model = build(**DROPPING)
    seeds = [layer.seed for layer in model.layers if hasattr(layer, "seed")]
    seeds += [layer.kernel_initializer.seed for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    # Two encoders, two gates, three dropouts, three dense layers.
    assert len(set(seeds)) == len(seeds) == 10


def test_dropout_follows_pooling_and_each_dense_layer() -> None:
    names = [layer.name for layer in build(**DROPPING).layers if isinstance(layer, keras.layers.Dropout)]
    assert names == ["joined_dropout", "joined_hidden_1_dropout", "joined_hidden_2_dropout"]


def test_the_audio_stream_has_fewer_clusters() -> None:
    for name, clusters, audio in (("netvlad", 8, 4), ("netfv", 8, 4), ("dbof", 32, 4), ("nextvlad", 8, 4)):
        model = build(encoder={"name": name, "clusters": clusters}, two_stream=True)
        built = [model.get_layer(f"{stream}_encoder").clusters for stream in ("rgb", "audio")]
        assert built == [clusters, audio], name
    assert [model.get_layer(f"{stream}_encoder").groups for stream in ("rgb", "audio")] == [8, 4]


ENCODERS: dict[str, dict[str, Any]] = {
    "lstm": LSTM,
    "gru": {"name": "gru", "layers": 2, "units": 3},
    "transformer": {"name": "transformer", "heads": 2, "dense_units": 4, "key_dim": 8},
    "dbof": {"name": "dbof", "clusters": 16, "batch_norm": True, "add_max": True},
    "netvlad": NETVLAD_BATCH_NORM,
    "netfv": {"name": "netfv", "clusters": 4, "batch_norm": True},
    "nextvlad": NEXTVLAD,
}


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("two_stream", [False, True])
def test_padding_does_not_change_the_probabilities(name: str, two_stream: bool) -> None:
    model = build(encoder=ENCODERS[name], two_stream=two_stream, hidden_units=(8,))
    padded = {**FRAMES, "frames": np.pad(FRAMES["frames"], [(0, 0), (0, 5), (0, 0)], constant_values=200)}
    padded["frames"][1, 1:] = 13
    for training in (False, True):
        np.testing.assert_allclose(model(padded, training=training), model(FRAMES, training=training), rtol=1e-4)


@pytest.mark.parametrize("clusters", [0, 1, 3])
def test_too_few_clusters_for_two_streams_are_refused(clusters: int) -> None:
    with pytest.raises(ValueError, match="clusters"):
        ModelSettings.model_validate({"encoder": {**NETVLAD, "clusters": clusters}})


def test_a_saved_model_runs_on_jax(tmp_path: Path, on_jax: Callable[..., dict[str, np.ndarray]]) -> None:
    model = build(**DROPPING)
    model.save(tmp_path / "model.keras")
    answer = on_jax("call_model", FRAMES, path=str(tmp_path / "model.keras"))
    np.testing.assert_allclose(answer["probabilities"], model(FRAMES), rtol=1e-4)
    np.testing.assert_array_equal(answer["values"], dequantize(FRAMES["frames"]))
    np.testing.assert_allclose(answer["mean"], mean_of_frames(**FRAMES), rtol=0, atol=5e-7)
