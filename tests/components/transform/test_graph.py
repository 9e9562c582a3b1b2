"""The Transform graph: the same numbers in training and serving, and only small features on disk."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft

from models.input.index import read_index
from models.input.indexed_batches import IndexedBatches
from models.layers.quantization import dequantize


def records_of(examples, split="train"):
    files = [str(path) for path in sorted(Path(examples.uri, f"Split-{split}").glob("*"))]
    return next(iter(tf.data.TFRecordDataset(files).batch(100)))


def features_of(examples, split="train"):
    return [tf.train.Example.FromString(record).features.feature for record in records_of(examples, split).numpy()]


def read(examples, classes):
    """The inputs and labels of the training split as training reads them."""
    files = [str(path) for path in Path(examples.uri, "Split-train").glob("*")]
    [batch] = IndexedBatches(read_index(files), classes, batch_size=100)
    return batch


def graph_of(steps):
    """What the Transform graph makes of the training split."""
    output = tft.TFTransformOutput(steps.graph.uri)
    raw = tf.io.parse_example(records_of(steps.examples), output.raw_feature_spec())
    return output.transform_features_layer()(raw)


def test_training_reads_the_bits_of_the_graph_which_the_device_dequantizes(transformed_frames):
    features = graph_of(transformed_frames)
    inputs, labels = read(transformed_frames.examples, transformed_frames.classes)
    assert inputs["frames"].dtype == tf.uint8
    assert np.array_equal(features["num_frames"], inputs["num_frames"])
    real = np.arange(300)[None, :, None] < inputs["num_frames"].numpy()[:, None, None]
    on_device = np.where(real, dequantize(inputs["frames"]).numpy(), np.float32(0))
    assert features["frames"].numpy().tobytes() == on_device.tobytes()
    assert features["labels"].numpy().tobytes() == labels.numpy().tobytes()


@pytest.mark.parametrize("level", ["frames", "means"])
def test_training_reads_the_bits_of_the_means_of_the_graph(level, request):
    steps = request.getfixturevalue(f"transformed_{level}")
    features = graph_of(steps)
    inputs, labels = read(steps.transformed, steps.classes)
    assert features["mean"].numpy().tobytes() == inputs["mean"].numpy().tobytes()
    assert features["labels"].numpy().tobytes() == labels.numpy().tobytes()


def test_labels_are_multi_hot_and_means_are_over_the_real_frames(transformed_frames):
    classes = transformed_frames.classes
    inputs, labels = read(transformed_frames.transformed, classes)
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
    inputs, _ = read(transformed_means.transformed, transformed_means.classes)
    raw = features_of(transformed_means.examples)
    expected = [[*f["mean_rgb"].float_list.value, *f["mean_audio"].float_list.value] for f in raw]
    assert np.array_equal(inputs["mean"], np.array(expected, np.float32))
