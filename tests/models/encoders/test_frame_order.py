"""The order of two marked frames: sequence models learn it, models that pool frames cannot."""

from collections.abc import Callable

import keras
import numpy as np
import pytest
from keras import ops

from models.encoders.dbof import DBoF
from models.encoders.net_fv import NetFV
from models.encoders.net_vlad import NetVLAD
from models.encoders.next_vlad import NeXtVLAD
from models.encoders.recurrent import RecurrentEncoder
from models.encoders.transformer import Transformer
from models.training.micro_f1 import MicroF1

LENGTH, WIDTH = 12, 8

SEQUENCE_MODELS = {
    "LSTM": lambda: RecurrentEncoder("lstm", 1, 16, seed=1),
    "GRU": lambda: RecurrentEncoder("gru", 1, 16, seed=1),
    "transformer": lambda: Transformer(2, 16, max_frames=LENGTH, seed=1),
}
POOLS = {
    "average": lambda: lambda frames, mask: keras.layers.GlobalAveragePooling1D()(frames, mask=mask),
    "DBoF": lambda: DBoF(8, 16, seed=1),
    "NetVLAD": lambda: NetVLAD(8, 16, seed=1),
    "NetFV": lambda: NetFV(8, 16, seed=1),
    "NeXtVLAD": lambda: NeXtVLAD(8, 2, seed=1),
}


def make_videos(pairs: int, seed: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Pairs of videos with the same frames, one of them backwards, padded; label 1: the first marker comes first.

    A model that ignores the order predicts the same for both videos of a pair and is right about one of them. Its best
    F1 is 2/3, from predicting 1 for all videos.
    """
    rng = np.random.default_rng(seed)
    frames = np.full((2 * pairs, LENGTH, WIDTH), 9, np.float32)
    lengths = rng.integers(LENGTH // 2, LENGTH + 1, pairs).repeat(2)
    labels = np.zeros((2 * pairs, 1), np.float32)
    for nth in range(0, 2 * pairs, 2):
        video = rng.normal(scale=0.25, size=(lengths[nth], WIDTH))
        first, second = rng.choice(len(video), 2, replace=False)
        video[first, 0] += 4
        video[second, 1] += 4
        frames[nth, : len(video)], frames[nth + 1, : len(video)] = video, video[::-1]
        labels[nth + (first > second)] = 1
    return [frames, np.arange(LENGTH) < lengths[:, None]], labels


TRAINING, UNSEEN = make_videos(4096, seed=2), make_videos(256, seed=3)


def f1_on_unseen_videos(encoder: Callable) -> float:
    keras.utils.set_random_seed(4)
    inputs = [keras.Input((LENGTH, WIDTH)), keras.Input((LENGTH,), dtype="bool")]
    model = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(encoder(*inputs)))
    rate = keras.optimizers.schedules.CosineDecay(0.015, decay_steps=2 * len(TRAINING[1]) // 64)
    model.compile(keras.optimizers.Adam(rate), "binary_crossentropy", jit_compile=False)
    model.fit(*TRAINING, batch_size=64, epochs=2, verbose=0)
    videos, labels = UNSEEN
    f1 = MicroF1()
    f1.update_state(labels, model.predict(videos, batch_size=512, verbose=0))
    return float(ops.convert_to_numpy(f1.result()))


@pytest.mark.parametrize("build", SEQUENCE_MODELS.values(), ids=SEQUENCE_MODELS.keys())
def test_models_of_sequences_learn_which_frame_comes_first(build: Callable) -> None:
    assert f1_on_unseen_videos(build()) >= 0.95


@pytest.mark.parametrize("build", POOLS.values(), ids=POOLS.keys())
def test_models_without_order_stay_at_chance(build: Callable) -> None:
    assert f1_on_unseen_videos(build()) <= 2 / 3 + 1e-3
