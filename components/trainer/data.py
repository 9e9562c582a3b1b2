"""The batches that Trainer and Tuner read, from the files that TFX names."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf
from tfx import v1 as tfx

from components.trainer.task import TrainingTask
from models.input.batches import Batches
from models.input.index import read_index
from models.input.indexed_batches import IndexedBatches
from models.input.soft_targets import read_soft_targets
from models.settings import EnsembleSettings, ModelSettings, TrainingSettings


def training_data(
    fn_args: tfx.components.FnArgs, task: TrainingTask, model: ModelSettings, training: TrainingSettings
) -> tuple[Callable[[int], Batches], Batches]:
    """The (inputs, labels) batches of the epoch with a given number, and those of the validation split.

    Args:
        fn_args: from TFX. `train_files` and `eval_files` are Transform's examples for the average encoder and
            ExampleGen's for encoders that read frames.
        task: labels and seed.
        model: an ensemble is fitted to the validation split.
        training: size of the batches, sampling, and the weight of soft targets.

    Raises:
        InputError: the index of a file, or its soft targets, are missing, damaged or of another file.
    """
    assert bool(task.soft_targets) == bool(training.teachers), "teachers need the step that predicts with them"
    classes, batch_size = len(task.names), training.batch_size
    validation = read_index(_files(fn_args.eval_files))
    # The members of an ensemble were trained on the training split.
    files = _files(fn_args.train_files)
    train = validation if isinstance(model.encoder, EnsembleSettings) else read_index(files)
    soft_targets = (
        read_soft_targets(task.soft_targets, files, train, classes, training.teacher_weight)
        if task.soft_targets
        else None
    )
    batches = IndexedBatches(train, classes, batch_size, sampling=training, soft_targets=soft_targets)
    return lambda epoch: batches.shuffled(f"{task.seed}-{epoch}"), IndexedBatches(validation, classes, batch_size)


def state_folder(fn_args: tfx.components.FnArgs, task: TrainingTask) -> Path:
    """Where a training or a search keeps its state: other data, settings, seed or code have another folder."""
    files = [fn_args.train_files, fn_args.eval_files, fn_args.transform_graph_path]
    identity = json.dumps([*files, fn_args.hyperparameters, task.identity()], sort_keys=True)
    return Path(task.state_dir) / hashlib.sha256(identity.encode()).hexdigest()[:16]


def _files(patterns: list[str]) -> list[str]:
    return [file for pattern in patterns for file in tf.io.gfile.glob(pattern)]
