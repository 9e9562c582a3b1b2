"""The Transform graph: the same numbers in training and serving, and only small features on disk."""

import json
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft

from components.trainer.data import _parse_frames
from models.input.batches import parse_means
from models.layers.quantization import dequantize


def records_of(examples, split="train"):
    files = [str(path) for path in sorted(Path(examples.uri, f"Split-{split}").glob("*"))]
    return next(iter(tf.data.TFRecordDataset(files).batch(100)))


def features_of(examples, split="train"):
    return [tf.train.Example.FromString(record).features.feature for record in records_of(examples, split).numpy()]


def test_the_graph_and_the_device_dequantize_to_the_same_bits(transformed_frames):
    graph = transformed_frames.graph.uri
    output = tft.TFTransformOutput(graph)
    records = records_of(transformed_frames.examples)
    features = output.transform_features_layer()(tf.io.parse_example(records, output.raw_feature_spec()))
    inputs, labels = _parse_frames(graph)(records)
    assert inputs["frames"].dtype == tf.uint8
    real = np.arange(300)[None, :, None] < inputs["num_frames"].numpy()[:, None, None]
    on_device = np.where(real, dequantize(inputs["frames"]).numpy(), np.float32(0))
    assert features["frames"].numpy().tobytes() == on_device.tobytes()
    assert np.array_equal(features["labels"], labels)


def test_labels_are_multi_hot_and_means_are_over_the_real_frames(transformed_frames):
    classes = transformed_frames.classes
    inputs, labels = parse_means(records_of(transformed_frames.transformed), classes)
    for row, features in enumerate(features_of(transformed_frames.examples)):
        expected = np.zeros(classes)
        expected[list(features["labels"].int64_list.value)] = 1
        assert np.array_equal(labels[row], expected)
        streams = [
            np.frombuffer(features[name].bytes_list.value[0], np.uint8).reshape(-1, width).astype(np.float64)
            for name, width in (("rgb", 1024), ("audio", 128))
        ]
        mean = (np.concatenate(streams, 1) * 4 / 255 + 4 / 512 - 2).mean(0)
        np.testing.assert_allclose(inputs["mean"][row], mean, rtol=1e-5, atol=1e-6)


def test_only_small_features_are_stored_for_every_video_of_every_split(transformed_frames):
    examples, transformed = transformed_frames.examples, transformed_frames.transformed
    assert transformed.split_names == examples.split_names
    for split in json.loads(examples.split_names):
        stored, packed = features_of(transformed, split), features_of(examples, split)
        assert all(set(features) == {"id", "label_ids", "num_frames", "mean"} for features in stored)
        assert all(len(record) < 5_000 for record in records_of(transformed, split).numpy())
        for name, key in (("id", "id"), ("labels", "label_ids"), ("num_frames", "num_frames")):
            assert [features[key] for features in stored] == [features[name] for features in packed]


def test_the_video_level_keeps_its_means(transformed_means):
    inputs, _ = parse_means(records_of(transformed_means.transformed), transformed_means.classes)
    raw = features_of(transformed_means.examples)
    expected = [[*f["mean_rgb"].float_list.value, *f["mean_audio"].float_list.value] for f in raw]
    assert np.array_equal(inputs["mean"], np.array(expected, np.float32))
