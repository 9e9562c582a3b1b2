"""run_fn: what TFX's Trainer calls."""

import hashlib
import json
from functools import partial
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
import tensorflow_transform as tft
from tfx import v1 as tfx
from tfx.utils import path_utils

from components.served_models import EXTRA
from components.trainer.export import export
from components.trainer.members import load_members
from models.ensemble import build_ensemble
from models.features import AUDIO, FRAMES, LABELS, NUM_FRAMES, RGB, Level
from models.input.batches import Batch, batches, packed_frames, parse_means
from models.input.frame_sampling import sample_frames
from models.metrics.scoring import score
from models.settings import EnsembleSettings, ModelSettings, TrainingSettings
from models.training.log import TrainingLog
from models.training.train import train
from models.video_classifier import build_video_classifier, reads_frames

# The log of the training, in the model's assets.extra/.
TRAINING_LOG = "training_log.json"


def run_fn(fn_args: tfx.components.FnArgs) -> None:
    """Trains an experiment and exports it.

    Args:
        fn_args: from TFX. `train_files` and `eval_files` are Transform's examples for the average encoder and
            ExampleGen's for those that read frames. `custom_config` holds `experiment`, `level`, `model` and `training`
            (settings as JSON-able dicts), `names` (of the labels), `seed`, `data`, `checkpoint_dir`, `log_dir` and
            `sources`.

    Raises:
        InputError: the loss is not finite, or a checkpoint is damaged.
    """
    keras.backend.clear_session()  # frees what an earlier training in this process has left
    config: dict[str, Any] = fn_args.custom_config
    model_settings = ModelSettings.model_validate(config["model"])
    settings = TrainingSettings.model_validate(config["training"])
    names, level, seed = tuple(config["names"]), config["level"], config["seed"]
    frames = reads_frames(model_settings, level)
    parse = _parse_frames(fn_args.transform_output, len(names)) if frames else partial(parse_means, classes=len(names))
    read = partial(batches, parse=parse, batch_size=settings.batch_size)
    train_files, validation_files = _files(fn_args.train_files), _files(fn_args.eval_files)
    if isinstance(model_settings.encoder, EnsembleSettings):
        train_files = validation_files  # the members were fitted to the training split
    sample = partial(sample_frames, settings=settings)

    def epoch_batches(epoch: int) -> tf.data.Dataset:
        return read(train_files, shuffle_videos=settings.shuffle_videos, seed=f"{seed}-{epoch}", sample=sample)

    model, log = train(
        partial(_build, model_settings, level, len(names), seed),
        epoch_batches,
        read(validation_files),
        settings,
        seed=seed,
        checkpoint_dir=Path(config["checkpoint_dir"]) / _fingerprint(fn_args),
        log_dir=Path(config["log_dir"] or fn_args.model_run_dir),
    )
    about = {name: config[name] for name in ("experiment", "data", "level", "seed", "model", "training")}
    about |= {"training_data": {"train": log.epochs[0].videos, "validation": log.validation_videos}}
    validation = score(model, read(validation_files))
    threshold = validation.best_threshold()
    about |= {"threshold": threshold, "validation": validation.scores(threshold)}
    export(model, fn_args.transform_output, names, level, fn_args.serving_model_dir, about)
    (Path(fn_args.serving_model_dir) / EXTRA / TRAINING_LOG).write_text(log.to_json())


def _build(settings: ModelSettings, level: Level, classes: int, seed: int) -> keras.Model:
    if isinstance(settings.encoder, EnsembleSettings):
        return build_ensemble(load_members(settings.encoder.members), level)
    return build_video_classifier(settings, classes, seed)


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


def _fingerprint(fn_args: tfx.components.FnArgs) -> str:
    """Names the checkpoints of this training: another data set, setting, seed or source has others."""
    config = {key: value for key, value in fn_args.custom_config.items() if key not in ("checkpoint_dir", "log_dir")}
    identity = [fn_args.train_files, fn_args.eval_files, fn_args.transform_output, config]
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


def read_training_log(model_uri: str) -> TrainingLog:
    """The log of the training that made a Model artifact."""
    with tf.io.gfile.GFile(f"{path_utils.serving_model_dir(model_uri)}/{EXTRA}/{TRAINING_LOG}") as file:
        return TrainingLog.from_json(file.read())
