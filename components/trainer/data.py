"""What Trainer and Tuner read: batches of the files that TFX names."""

import hashlib
import json
from collections.abc import Callable
from functools import partial
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft
from tfx import v1 as tfx

from models.features import AUDIO, FRAMES, LABELS, NUM_FRAMES, RGB
from models.input.batches import Batch, batches, packed_frames, parse_means
from models.input.frame_sampling import sample_frames
from models.settings import EnsembleSettings, ModelSettings, TrainingSettings
from models.video_classifier import reads_frames


def training_data(
    fn_args: tfx.components.FnArgs, model: ModelSettings, training: TrainingSettings
) -> tuple[Callable[[int], tf.data.Dataset], tf.data.Dataset]:
    """The (inputs, labels) batches of an epoch, by its number, and those of the validation split.

    Args:
        fn_args: from TFX. `train_files` and `eval_files` are Transform's examples for the average encoder and
            ExampleGen's for those that read frames; `custom_config` holds `level`, `names` and `seed`.
        model: decides what is read; an ensemble is fitted to the validation split.
        training: sizes, order and sampling.
    """
    classes, seed = len(fn_args.custom_config["names"]), fn_args.custom_config["seed"]
    frames = reads_frames(model, fn_args.custom_config["level"])
    parse = _parse_frames(fn_args.transform_graph_path, classes) if frames else partial(parse_means, classes=classes)
    read = partial(batches, parse=parse, batch_size=training.batch_size)
    train_files, validation_files = _files(fn_args.train_files), _files(fn_args.eval_files)
    if isinstance(model.encoder, EnsembleSettings):
        train_files = validation_files  # the members were fitted to the training split
    sample = partial(sample_frames, settings=training)

    def epoch_batches(epoch: int) -> tf.data.Dataset:
        return read(train_files, shuffle_videos=training.shuffle_videos, seed=f"{seed}-{epoch}", sample=sample)

    return epoch_batches, read(validation_files)


def fingerprint(fn_args: tfx.components.FnArgs) -> str:
    """Names the files that a training or a search keeps: other data, settings, seed or source have another name."""
    # Where files are kept, how many search at a time and what a page shows of it changes no result.
    left_out = ("checkpoint_dir", "log_dir", "tune_dir", "workers", "executor_sources")
    config = {key: value for key, value in fn_args.custom_config.items() if key not in left_out}
    identity = [fn_args.train_files, fn_args.eval_files, fn_args.transform_graph_path, fn_args.hyperparameters, config]
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


def _parse_frames(transform_graph: str, classes: int) -> Any:
    """Packed records -> frames as bytes, which are dequantized on the device: a quarter of the floats to move."""
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
