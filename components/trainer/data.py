"""The batches that Trainer and Tuner read, from the files that TFX names."""

import hashlib
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft
from tfx import v1 as tfx

from components.trainer.task import TrainingTask
from models.features import AUDIO, FRAMES, LABELS, NUM_FRAMES, RGB
from models.input.batches import Batch, batches, packed_frames, parse_means
from models.input.frame_sampling import sample_frames
from models.settings import EnsembleSettings, ModelSettings, TrainingSettings
from models.video_classifier import reads_frames


def training_data(
    fn_args: tfx.components.FnArgs, task: TrainingTask, model: ModelSettings, training: TrainingSettings
) -> tuple[Callable[[int], tf.data.Dataset], tf.data.Dataset]:
    """The (inputs, labels) batches of the epoch with a given number, and those of the validation split.

    Args:
        fn_args: from TFX. `train_files` and `eval_files` are Transform's examples for the average encoder and
            ExampleGen's for encoders that read frames.
        task: level, labels and seed.
        model: its encoder decides which features are read; an ensemble is fitted to the validation split.
        training: sizes, order and sampling.
    """
    classes = len(task.names)
    frames = reads_frames(model, task.level)
    parse = _parse_frames(fn_args.transform_graph_path) if frames else partial(parse_means, classes=classes)
    read = partial(batches, parse=parse, batch_size=training.batch_size)
    train_files, validation_files = _files(fn_args.train_files), _files(fn_args.eval_files)
    if isinstance(model.encoder, EnsembleSettings):
        train_files = validation_files  # the members were trained on the training split
    sample = partial(sample_frames, settings=training)

    def epoch_batches(epoch: int) -> tf.data.Dataset:
        return read(train_files, shuffle_videos=training.shuffle_videos, seed=f"{task.seed}-{epoch}", sample=sample)

    return epoch_batches, read(validation_files)


def state_folder(fn_args: tfx.components.FnArgs, task: TrainingTask) -> Path:
    """Where a training or a search keeps its state: other data, settings, seed or code have another folder."""
    files = [fn_args.train_files, fn_args.eval_files, fn_args.transform_graph_path]
    identity = json.dumps([*files, fn_args.hyperparameters, task.identity()], sort_keys=True)
    return Path(task.state_dir) / hashlib.sha256(identity.encode()).hexdigest()[:16]


def _parse_frames(transform_graph: str) -> Any:
    """Packed records -> frames as bytes: a quarter of the floats to copy to the device, which dequantizes them."""
    transform = tft.TFTransformOutput(transform_graph)
    layer, spec = transform.transform_features_layer(), transform.raw_feature_spec()

    def parse(examples: tf.Tensor) -> tuple[Batch, tf.Tensor]:
        features = layer(tf.io.parse_example(examples, spec))
        inputs = {
            FRAMES: packed_frames(features[RGB], features[AUDIO]),
            NUM_FRAMES: tf.cast(features[NUM_FRAMES], tf.int32),
        }
        return inputs, features[LABELS]

    return parse


def _files(patterns: list[str]) -> list[str]:
    return [file for pattern in patterns for file in tf.io.gfile.glob(pattern)]
