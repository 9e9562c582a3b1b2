"""run_fn, which TFX's Trainer calls."""

from functools import partial
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import tensorflow as tf
from tfx import v1 as tfx
from tfx.utils import path_utils

from components.served_models import EXTRA, ArchitectureCard, ModelCard, load_keras_model
from components.trainer.data import state_folder, training_data, training_means, training_shares
from components.trainer.export import export, hash_weights
from components.trainer.task import TrainingTask
from components.trainer.warm_start import load_weights, require_same_architecture
from models.ensemble import build_ensemble
from models.errors import InputError
from models.features import record_level
from models.metrics.scoring import score
from models.neighbours import build_neighbours
from models.output_bias import predict_shares
from models.settings import EnsembleSettings, ModelSettings, NeighboursSettings
from models.training.log import TrainingLog
from models.training.train import train
from models.training.xla import decide_xla
from models.training_settings import TrainingSettings
from models.video_classifier import build_video_classifier
from tuner.hyperparameters import active_values, with_values

# The log of the training, in the model's assets.extra/.
TRAINING_LOG = "training_log.json"


def run_fn(fn_args: tfx.components.FnArgs) -> None:
    """Trains the model of an experiment and exports it.

    Args:
        fn_args: from TFX. `train_files` and `eval_files` are Transform's examples for the average encoder and
            ExampleGen's for encoders that read frames. `custom_config` holds a TrainingTask. `hyperparameters`, if
            any, are KerasTuner's: their values replace settings.

    Raises:
        InputError: the loss is not finite, a checkpoint is damaged, hyperparameters don't fit the model, or the
            model of a warm start has another architecture.
    """
    keras.backend.clear_session()  # frees the memory of an earlier training in this process
    task = TrainingTask.read(fn_args.custom_config)
    model_settings, settings = task.model, task.training
    if fn_args.hyperparameters:
        model_settings, settings = _apply_hyperparameters(model_settings, settings, fn_args.hyperparameters)
    initial_model = settings.warm_start
    if initial_model:
        assert isinstance(initial_model, str), "warm_start is not a folder: the settings were not prepared"
        # Checked again: hyperparameters of a search may have changed the architecture.
        require_same_architecture(initial_model, model_settings, record_level(task.level), task.names)
    epoch_batches, validation = training_data(fn_args, task, model_settings, settings)
    model, log = train(
        partial(_build, fn_args, task, model_settings, initial_model or ""),
        epoch_batches,
        validation,
        decide_xla(settings, model_settings),
        seed=task.seed,
        checkpoint_dir=state_folder(fn_args, task),
        log_dir=Path(task.log_dir or fn_args.model_run_dir),
        rated=task.rated,
    )
    scores = score(model, validation, task.rated)
    threshold = scores.best_threshold()
    card = ModelCard(
        level=record_level(task.level),
        model_id=hash_weights(model),
        parameters=model.count_params(),
        experiment=task.experiment,
        data=task.data,
        seed=task.seed,
        model=ArchitectureCard.model_validate(model_settings.model_dump(mode="json")),
        training=settings.model_dump(mode="json"),
        training_data={"train": log.epochs[0].videos, "validation": log.validation_videos},
        threshold=threshold,
        validation=scores.scores(threshold),
    )
    export(model, fn_args.transform_graph_path, task.names, card, fn_args.serving_model_dir)
    (Path(fn_args.serving_model_dir) / EXTRA / TRAINING_LOG).write_text(log.to_json())


def _apply_hyperparameters(
    model: ModelSettings, training: TrainingSettings, hyperparameters: dict[str, Any]
) -> tuple[ModelSettings, TrainingSettings]:
    values = active_values(keras_tuner.HyperParameters.from_config(hyperparameters))
    try:
        return with_values(model, training, values)
    except InputError as error:
        raise InputError(f"hyperparameters {values}: {error}") from None


def _build(
    fn_args: tfx.components.FnArgs, task: TrainingTask, settings: ModelSettings, initial_model: str
) -> keras.Model:
    if isinstance(settings.encoder, EnsembleSettings):
        return build_ensemble(
            [load_keras_model(member) for member in settings.encoder.members], record_level(task.level)
        )
    model = untrained_model(fn_args, task, settings)
    if initial_model:
        load_weights(model, initial_model)
    return model


def untrained_model(fn_args: tfx.components.FnArgs, task: TrainingTask, settings: ModelSettings) -> keras.Model:
    """The network of an experiment with its initial weights.

    Args:
        fn_args: from TFX; `train_files` give initial biases, or the videos that the model holds.
        task: labels and seed.
        settings: of the network, not an ensemble's.
    """
    encoder, classes = settings.encoder, len(task.names)
    if isinstance(encoder, NeighboursSettings):
        means, labels = training_means(fn_args, task, encoder.videos)
        return build_neighbours(means, labels, training_shares(fn_args, classes), encoder.neighbours)
    model = build_video_classifier(settings, classes, task.seed)
    if settings.output_bias == "prior":
        predict_shares(model, training_shares(fn_args, classes, task.rated))
    return model


def read_training_log(model_uri: str) -> TrainingLog:
    """The training log of a Model artifact."""
    with tf.io.gfile.GFile(f"{path_utils.serving_model_dir(model_uri)}/{EXTRA}/{TRAINING_LOG}") as file:
        return TrainingLog.from_json(file.read())
