"""Models that are built of the training split: initial biases, and neighbours; through run_fn, on real artifacts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from tfx import v1 as tfx

from components.trainer.task import TrainingTask
from components.trainer.trainer import run_fn
from models.errors import InputError
from models.settings import ModelSettings
from models.training_settings import TrainingSettings

Train = Callable[..., Path]


@pytest.fixture
def train(transformed_means: Any, tmp_path: Path) -> Train:
    """Trains for an epoch, at a learning rate that leaves the weights unchanged; returns the SavedModel."""

    def run(train_files: str = "Split-train/*", **model: Any) -> Path:
        serving = tmp_path / "Format-Serving"
        task = TrainingTask(
            experiment="any",
            data="",
            level="video",
            model=ModelSettings.model_validate(model),
            training=TrainingSettings(learning_rate=1e-12, batch_size=8, max_epochs=1),
            names=tuple(str(label) for label in range(transformed_means.classes)),
            seed=0,
            state_dir=str(tmp_path / "checkpoints"),
            log_dir=str(tmp_path / "logs"),
            sources="",
        )
        examples = transformed_means.transformed.uri
        fn_args = tfx.components.FnArgs(
            train_files=[f"{examples}/{train_files}"],
            eval_files=[f"{examples}/Split-validation/*"],
            transform_graph_path=transformed_means.graph.uri,
            serving_model_dir=str(serving),
            custom_config=task.custom_config(),
        )
        run_fn(fn_args)
        return serving

    return run


@pytest.fixture(scope="module")
def training_videos(transformed_means: Any) -> list[tuple[np.ndarray, set[int]]]:
    """Means and labels of the training split, parsed from Transform's records."""
    files = sorted(map(str, Path(transformed_means.transformed.uri, "Split-train").iterdir()))
    videos = []
    for record in tf.data.TFRecordDataset(files):
        features = tf.train.Example.FromString(record.numpy()).features.feature
        mean = np.array(features["mean"].float_list.value, np.float32)
        videos.append((mean, set(features["label_ids"].int64_list.value)))
    return videos


def test_initial_biases_are_those_of_the_training_split(train: Train, training_videos: Any) -> None:
    serving = train(encoder={"name": "average"}, output_bias="prior")
    bias = keras.saving.load_model(serving / "assets.extra" / "model.keras").get_layer("logits").bias.numpy()
    shares = np.array([np.mean([label in labels for _, labels in training_videos]) for label in range(4)])
    np.testing.assert_allclose(1 / (1 + np.exp(-bias)), shares, atol=0.02)


def test_neighbours_are_the_training_videos(train: Train, training_videos: Any) -> None:
    serving = train(encoder={"name": "neighbours", "neighbours": 3})
    layer = keras.saving.load_model(serving / "assets.extra" / "model.keras").get_layer("neighbours")
    means = np.stack([mean for mean, _ in training_videos])
    standardized = (means - means.mean(axis=0)) / means.std(axis=0)
    directions = standardized / np.linalg.norm(standardized, axis=1, keepdims=True)
    expected = [(direction, labels) for direction, (_, labels) in zip(directions, training_videos, strict=True)]
    for stored, padded in zip(layer.memory.numpy(), layer.memory_labels.numpy(), strict=True):
        labels = set(padded.tolist()) - {4}  # the number of classes stands for none
        same = [n for n, (video, own) in enumerate(expected) if own == labels and video @ stored > 0.999]
        del expected[same[0]]
    assert not expected
    answer = tf.saved_model.load(str(serving)).signatures["raw_tensors"](mean=tf.constant(means))["probabilities"]
    assert answer.shape == (len(means), 4)


def test_a_limit_of_stored_videos_is_kept(train: Train, training_videos: Any) -> None:
    serving = train(encoder={"name": "neighbours", "videos": 7})
    layer = keras.saving.load_model(serving / "assets.extra" / "model.keras").get_layer("neighbours")
    assert layer.memory.shape[0] == layer.memory_labels.shape[0] == 7 < len(training_videos)


def test_no_training_videos_are_a_clear_error(train: Train) -> None:
    with pytest.raises(InputError, match="training data: no video"):
        train(train_files="Split-nothing/*", encoder={"name": "neighbours"})
