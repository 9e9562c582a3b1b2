"""Builders of the smallest real things: records and shards in the wire format of YouTube-8M."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["TFX_ANALYTICS"] = "0"

import tensorflow as tf


def _bytes(*values: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))


def _ints(values: Sequence[int]) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def _floats(values: Sequence[float]) -> tf.train.Feature:
    return tf.train.Feature(float_list=tf.train.FloatList(value=values))


@pytest.fixture
def frame_record() -> Callable[..., bytes]:
    """Serialized frame-level record; pass rgb=None or audio=None to leave a stream out."""

    def build(
        video_id: str = "aaaa",
        labels: Sequence[int] | None = (0,),
        frames: int = 3,
        rgb: np.ndarray | str | None = "random",
        audio: np.ndarray | str | None = "random",
        id_key: str = "id",
    ) -> bytes:
        generator = np.random.default_rng(frames)
        context = {id_key: _bytes(video_id.encode())}
        if labels is not None:
            context["labels"] = _ints(labels)
        lists = {}
        for name, width, codes in (("rgb", 1024, rgb), ("audio", 128, audio)):
            if codes is None:
                continue
            if isinstance(codes, str):
                codes = generator.integers(0, 256, (frames, width), np.uint8)
            lists[name] = tf.train.FeatureList(feature=[_bytes(frame.tobytes()) for frame in codes])
        return tf.train.SequenceExample(
            context=tf.train.Features(feature=context), feature_lists=tf.train.FeatureLists(feature_list=lists)
        ).SerializeToString()

    return build


@pytest.fixture
def video_record() -> Callable[..., bytes]:
    """Serialized video-level record; further arguments are features of its own."""

    def build(
        video_id: str = "aaaa",
        labels: Sequence[int] | None = (0,),
        mean_rgb: np.ndarray | str | None = "random",
        mean_audio: np.ndarray | str | None = "random",
        **own: bytes,
    ) -> bytes:
        generator = np.random.default_rng(sum(video_id.encode()))
        features = {"id": _bytes(video_id.encode())} | {name: _bytes(value) for name, value in own.items()}
        if labels is not None:
            features["labels"] = _ints(labels)
        for name, width, values in (("mean_rgb", 1024, mean_rgb), ("mean_audio", 128, mean_audio)):
            if values is None:
                continue
            features[name] = _floats(generator.uniform(-2, 2, width) if isinstance(values, str) else values)
        # The published records are SequenceExamples whose second field is there and empty.
        return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString() + b"\x12\x00"

    return build


@pytest.fixture
def write_shard() -> Callable[[Path, Sequence[bytes]], Path]:
    """Writes records with TensorFlow's own writer."""

    def write(path: Path, records: Sequence[bytes]) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tf.io.TFRecordWriter(str(path)) as writer:
            for record in records:
                writer.write(record)
        return path

    return write


@pytest.fixture
def real_data() -> Path:
    """Real YouTube-8M shards: $YT8M_DATA, else shared/data beside the checkout."""
    folder = Path(os.environ.get("YT8M_DATA") or Path(__file__).parents[2] / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no real YouTube-8M shards in {folder} (set YT8M_DATA)")
    return folder
