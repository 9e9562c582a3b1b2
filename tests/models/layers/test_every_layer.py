"""Requirements for every layer: shapes, precisions, files, weights, gradients."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf

from models.encoders.dbof import DBoF
from models.encoders.net_fv import NetFV
from models.encoders.net_vlad import NetVLAD
from models.encoders.next_vlad import NeXtVLAD
from models.encoders.recurrent import RecurrentEncoder
from models.encoders.soft_assignment import SoftAssignment
from models.encoders.transformer import Transformer
from models.layers.context_gating import ContextGating
from models.layers.squeeze_excitation import SqueezeExcitation
from models.video_classifier import FrameDecoder


class Case(NamedTuple):
    """A layer with its inputs and expected outputs."""

    build: Callable[..., keras.layers.Layer]
    inputs: list[np.ndarray]
    output_shapes: list[tuple[int, ...]]
    weights: int


RNG = np.random.default_rng(0)
FRAMES = RNG.normal(size=(3, 8, 6)).astype(np.float32)
MASK = np.arange(8) < np.array([[8], [1], [5]])
CODES = RNG.integers(0, 256, (3, 8, 1152), np.uint8)
LENGTHS = np.array([8, 1, 5], np.int32)

D, K, H = 6, 5, 4
# NeXtVLAD with 3 groups: frames are expanded to 2 D, a group has L features.
G, L = 3, 2 * D // 3
# Units of the recurrent layers, and of the dense layer in the transformer.
U = 5
CASES = {
    "context gating": Case(lambda **kw: ContextGating(seed=1, **kw), [FRAMES[:, 0]], [(3, D)], D * D + D),
    "context gating with batch norm, without diagonal": Case(
        lambda **kw: ContextGating(batch_norm=True, without_diagonal=True, seed=1, **kw),
        [FRAMES[:, 0]],
        [(3, D)],
        D * D + 5 * D,
    ),
    "squeeze and excitation": Case(
        lambda **kw: SqueezeExcitation(reduction=2, seed=1, **kw), [FRAMES[:, 0]], [(3, D)], D * D + 4 * D // 2
    ),
    "soft assignment": Case(
        lambda **kw: SoftAssignment(K, seed=1, **kw), [FRAMES, MASK], [(*MASK.shape, K)], D * K + K
    ),
    "soft assignment with batch norm": Case(
        lambda **kw: SoftAssignment(K, batch_norm=True, seed=1, **kw),
        [FRAMES, MASK],
        [(*MASK.shape, K)],
        D * K + 4 * K,
    ),
    "DBoF": Case(lambda **kw: DBoF(K, H, seed=1, **kw), [FRAMES, MASK], [(3, H)], D * K + K + K * H),
    "DBoF with batch norm and maximum": Case(
        lambda **kw: DBoF(K, H, batch_norm=True, add_max=True, seed=1, **kw),
        [FRAMES, MASK],
        [(3, H)],
        D * K + 4 * K + 2 * K * H,
    ),
    "NetFV": Case(lambda **kw: NetFV(K, H, seed=1, **kw), [FRAMES, MASK], [(3, H)], 3 * D * K + K + 2 * D * K * H),
    "NetFV with batch norm": Case(
        lambda **kw: NetFV(K, H, batch_norm=True, seed=1, **kw),
        [FRAMES, MASK],
        [(3, H)],
        3 * D * K + 4 * K + 2 * D * K * H,
    ),
    "NeXtVLAD": Case(
        lambda **kw: NeXtVLAD(K, G, seed=1, **kw),
        [FRAMES, MASK],
        [(3, L * K)],
        D * 2 * D + 2 * D + 2 * D * G + G + 2 * D * G * K + 4 * G * K + L * K + 4 * L * K,
    ),
    "NetVLAD": Case(lambda **kw: NetVLAD(K, H, seed=1, **kw), [FRAMES, MASK], [(3, H)], 2 * D * K + K + D * K * H),
    "NetVLAD with batch norm": Case(
        lambda **kw: NetVLAD(K, H, batch_norm=True, seed=1, **kw),
        [FRAMES, MASK],
        [(3, H)],
        2 * D * K + 4 * K + D * K * H,
    ),
    "LSTM": Case(
        lambda **kw: RecurrentEncoder("lstm", 2, U, seed=1, **kw),
        [FRAMES, MASK],
        [(3, U)],
        4 * U * (D + U + 1) + 4 * U * (U + U + 1),
    ),
    "GRU": Case(
        lambda **kw: RecurrentEncoder("gru", 2, U, seed=1, **kw),
        [FRAMES, MASK],
        [(3, U)],
        3 * U * (D + U + 2) + 3 * U * (U + U + 2),
    ),
    "transformer": Case(
        lambda **kw: Transformer(3, U, max_frames=9, seed=1, **kw),
        [FRAMES, MASK],
        [(3, D)],
        9 * D + 3 * (4 * D * D + 3 * D) + D + 2 * D * U + U + D + 4 * D,
    ),
    "transformer with two layers of narrow heads": Case(
        lambda **kw: Transformer(3, U, layers=2, key_dim=2, max_frames=9, seed=1, **kw),
        [FRAMES, MASK],
        [(3, D)],
        9 * D + 2 * (3 * (4 * D * 2 + 3 * 2) + D + 2 * D * U + U + D + 4 * D),
    ),
    "frame decoder": Case(FrameDecoder, [CODES, LENGTHS], [CODES.shape, CODES.shape[:2]], 0),
    "normalizing frame decoder": Case(
        lambda **kw: FrameDecoder(normalize=True, **kw), [CODES, LENGTHS], [CODES.shape, CODES.shape[:2]], 0
    ),
}
every_layer = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def outputs_of(layer: Callable, inputs: list[np.ndarray], **call: bool) -> list[np.ndarray]:
    return [np.asarray(keras.ops.cast(t, "float32")) for t in tf.nest.flatten(layer(*inputs, **call))]


@every_layer
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_outputs_have_their_shape_and_the_precision_of_the_policy(case: Case, policy: str) -> None:
    layer = case.build(dtype=policy)
    outputs = tf.nest.flatten(layer(*case.inputs))
    assert [tuple(output.shape) for output in outputs] == case.output_shapes
    # Shares stay float32: their sums need it.
    assert outputs[0].dtype == (layer.variable_dtype if isinstance(layer, SoftAssignment) else layer.compute_dtype)
    assert {weight.dtype for weight in layer.weights} <= {"float32"}


@every_layer
@pytest.mark.parametrize(("policy", "error"), [("mixed_bfloat16", 3e-2), ("mixed_float16", 4e-3)])
def test_half_precision_stays_close_to_float32(case: Case, policy: str, error: float) -> None:
    precise = outputs_of(case.build(dtype="float32"), case.inputs)[0]
    half = outputs_of(case.build(dtype=policy), case.inputs)[0]
    assert np.linalg.norm(half - precise) < error * np.linalg.norm(precise)


@every_layer
def test_a_symbolic_call_infers_the_shapes(case: Case) -> None:
    symbolic = [keras.Input(array.shape[1:], dtype=array.dtype.name) for array in case.inputs]
    outputs = tf.nest.flatten(case.build()(*symbolic))
    assert [tuple(output.shape) for output in outputs] == [(None, *shape[1:]) for shape in case.output_shapes]


@every_layer
def test_a_saved_layer_is_restored(case: Case, tmp_path: Path) -> None:
    symbolic = [keras.Input(array.shape[1:], dtype=array.dtype.name) for array in case.inputs]
    layer = case.build(name="layer")
    model = keras.Model(symbolic, layer(*symbolic))
    if layer.trainable_weights:
        for weight in layer.weights:
            weight.assign(weight + 0.1)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.get_layer("layer").get_config() == layer.get_config()
    for before, after in zip(outputs_of(layer, case.inputs), tf.nest.flatten(loaded(case.inputs)), strict=True):
        np.testing.assert_array_equal(before, keras.ops.cast(after, "float32"))


@every_layer
def test_the_number_of_weights_follows_the_formula(case: Case) -> None:
    layer = case.build()
    layer(*case.inputs)
    assert layer.count_params() == case.weights


@every_layer
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_every_weight_learns_and_gradients_are_finite(case: Case, policy: str) -> None:
    layer = case.build(dtype=policy)
    call = {"training": True} if "training" in inspect.signature(layer.call).parameters else {}
    layer(*case.inputs)
    with tf.GradientTape() as tape:
        output = tf.cast(tf.nest.flatten(layer(*case.inputs, **call))[0], tf.float32)
        loss = tf.reduce_sum(output * RNG.normal(size=output.shape))
    for weight, gradient in zip(
        layer.trainable_weights, tape.gradient(loss, [w.value for w in layer.trainable_weights]), strict=True
    ):
        assert gradient is not None and np.all(np.isfinite(gradient)) and np.any(gradient != 0), weight.path


@every_layer
def test_a_seed_fixes_the_initial_weights(case: Case) -> None:
    first, second = case.build(), case.build()
    for a, b in zip(outputs_of(first, case.inputs), outputs_of(second, case.inputs), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("build", "inputs"),
    [
        (ContextGating, [FRAMES[:, 0]]),
        (lambda **kw: SqueezeExcitation(reduction=2, **kw), [np.repeat(FRAMES[:, 0], 2, axis=1)]),
        *(((lambda encoder=encoder, **kw: encoder(K, H, **kw)), [FRAMES, MASK]) for encoder in (DBoF, NetVLAD, NetFV)),
        (lambda **kw: NeXtVLAD(K, G, **kw), [FRAMES, MASK]),
        (lambda **kw: RecurrentEncoder("lstm", 1, U, **kw), [FRAMES, MASK]),
        (lambda **kw: RecurrentEncoder("gru", 1, U, **kw), [FRAMES, MASK]),
        (lambda **kw: Transformer(1, U, **kw), [FRAMES, MASK]),
    ],
    ids=[
        *("context gating", "squeeze and excitation", "DBoF", "NetVLAD", "NetFV", "NeXtVLAD"),
        *("LSTM", "GRU", "transformer"),
    ],
)
def test_another_seed_or_none_gives_other_weights(
    build: Callable[..., keras.layers.Layer], inputs: list[np.ndarray]
) -> None:
    outputs = [outputs_of(build(seed=seed), inputs)[0] for seed in (1, 9, None, None)]
    assert len({output.tobytes() for output in outputs}) == 4
