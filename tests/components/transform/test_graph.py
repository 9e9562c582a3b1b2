"""The Transform graph: the same numbers for people, training and serving, and only small things on disk."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft

from components.trainer.data import _parse_frames
from models.input.batches import parse_means
from models.layers.quantization import dequantize

CLASSES = 5


@pytest.fixture
def frame_level(transform, tmp_path, write_shard, frame_record):
    records = [frame_record(f"{n:04d}", sorted({n % 5, n % 3}), frames=1 + 13 * n) for n in range(24)]
    write_shard(tmp_path / "data" / "a.tfrecord", records)
    examples, graph, transformed, _ = transform(tmp_path / "data", "frame", CLASSES)
    return examples, graph, transformed


def records_of(examples, split="train"):
    files = [str(path) for path in sorted(Path(examples.uri, f"Split-{split}").glob("*"))]
    return next(iter(tf.data.TFRecordDataset(files).batch(100)))


def test_the_graph_and_the_device_dequantize_to_the_same_bits(frame_level):
    examples, graph, _ = frame_level
    output = tft.TFTransformOutput(graph.uri)
    records = records_of(examples)
    features = output.transform_features_layer()(tf.io.parse_example(records, output.raw_feature_spec()))
    inputs, labels = _parse_frames(graph.uri, CLASSES)(records)
    assert inputs["frames"].dtype == tf.uint8
    real = np.arange(300)[None, :, None] < inputs["num_frames"].numpy()[:, None, None]
    on_device = np.where(real, dequantize(inputs["frames"]).numpy(), np.float32(0))
    assert features["frames"].numpy().tobytes() == on_device.tobytes()
    assert np.array_equal(features["labels"], labels)


def test_labels_are_multi_hot_and_means_are_those_of_the_real_frames(frame_level):
    examples, _, transformed = frame_level
    inputs, labels = parse_means(records_of(transformed), CLASSES)
    raw = [tf.train.Example.FromString(r).features.feature for r in records_of(examples).numpy()]
    for row, features in enumerate(raw):
        expected = np.zeros(CLASSES)
        expected[list(features["labels"].int64_list.value)] = 1
        assert np.array_equal(labels[row], expected)
        streams = [
            np.frombuffer(features[name].bytes_list.value[0], np.uint8).reshape(-1, width).astype(np.float64)
            for name, width in (("rgb", 1024), ("audio", 128))
        ]
        mean = (np.concatenate(streams, 1) * 4 / 255 + 4 / 512 - 2).mean(0)
        np.testing.assert_allclose(inputs["mean"][row], mean, rtol=1e-5, atol=1e-6)


def test_only_small_features_are_stored_for_every_video_of_every_split(frame_level):
    examples, _, transformed = frame_level
    assert transformed.split_names == examples.split_names
    for split in json.loads(examples.split_names):
        stored = [tf.train.Example.FromString(r) for r in records_of(transformed, split).numpy()]
        packed = [tf.train.Example.FromString(r) for r in records_of(examples, split).numpy()]
        assert all(set(e.features.feature) == {"id", "label_ids", "num_frames", "mean"} for e in stored)
        assert all(e.ByteSize() < 5_000 for e in stored)
        for name, key in (("id", "id"), ("labels", "label_ids"), ("num_frames", "num_frames")):
            assert [e.features.feature[key] for e in stored] == [e.features.feature[name] for e in packed]


def test_the_video_level_keeps_its_means(transform, tmp_path, write_shard, video_record):
    write_shard(tmp_path / "data" / "a.tfrecord", [video_record(f"{n:04d}", [n % 5]) for n in range(24)])
    examples, _, transformed, _ = transform(tmp_path / "data", "video", CLASSES)
    inputs, _ = parse_means(records_of(transformed), CLASSES)
    raw = [tf.train.Example.FromString(r).features.feature for r in records_of(examples).numpy()]
    expected = [[*f["mean_rgb"].float_list.value, *f["mean_audio"].float_list.value] for f in raw]
    assert np.array_equal(inputs["mean"], np.array(expected, np.float32))
