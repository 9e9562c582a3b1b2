"""The batches that Trainer and Tuner read, from the files that TFX names."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf
from tfx import v1 as tfx

from components.trainer.task import TrainingTask
from models.errors import InputError, plural
from models.features import MEAN
from models.input.batches import Batches
from models.input.index import VideoIndex, read_index
from models.input.indexed_batches import IndexedBatches
from models.input.soft_targets import read_soft_targets
from models.output_bias import label_shares
from models.settings import AverageSettings, EnsembleSettings, ModelSettings
from models.training_settings import TrainingSettings

# Videos of a batch that is read for their means alone.
READ_AT_ONCE = 1024


def training_data(
    fn_args: tfx.components.FnArgs, task: TrainingTask, model: ModelSettings, training: TrainingSettings
) -> tuple[Callable[[int], Batches], Batches]:
    """The (inputs, labels) batches of the epoch with a given number, and those of the validation split.

    Args:
        fn_args: from TFX. `train_files` and `eval_files` are Transform's examples for the average encoder and
            ExampleGen's for encoders that read frames, and for rated segments.
        task: labels and seed; an index of rated segments takes the place of videos at level: segment.
        model: an ensemble is fitted to the validation split.
        training: size of the batches, sampling, and the weight of soft targets.

    Raises:
        InputError: the index of a file, or its soft targets, are missing, damaged or of another file.
    """
    assert bool(task.soft_targets) == bool(training.teachers), "teachers need the step that predicts with them"
    classes, batch_size = len(task.names), training.batch_size
    if task.rated:
        average = isinstance(model.encoder, AverageSettings)
        segments = {
            name: IndexedBatches(_rated_index(name, patterns).rated_segments(), classes, batch_size, average=average)
            for name, patterns in (("training", fn_args.train_files), ("validation", fn_args.eval_files))
        }
        return lambda epoch: segments["training"].shuffled(f"{task.seed}-{epoch}"), segments["validation"]
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


def training_shares(fn_args: tfx.components.FnArgs, classes: int, rated: bool = False) -> np.ndarray:
    """The share of the training videos that have each label, float64 [classes], see `label_shares`.

    For rated segments the share of a label's ratings by which it holds, as if each label had one more with the share of
    all ratings.
    """
    if rated:
        _, _, labels, holds = _rated_index("training", fn_args.train_files).ratings.T
        ratings, positives = np.bincount(labels, minlength=classes), np.bincount(labels, holds, minlength=classes)
        return (positives + positives.sum() / ratings.sum()) / (ratings + 1)
    index = _training_index(fn_args)
    return label_shares(index.labels, len(index), classes)


def training_means(fn_args: tfx.components.FnArgs, task: TrainingTask, most: int) -> tuple[np.ndarray, np.ndarray]:
    """The means and labels of training videos, drawn at random where there are more than `most`.

    Returns:
        float32 [N, 1152]; int32 [N, most labels of a video]: ids, followed by the number of classes for none.
    """
    index, classes = _training_index(fn_args), len(task.names)
    batches = IndexedBatches(index, classes, READ_AT_ONCE).shuffled(str(task.seed)).take(-(-most // READ_AT_ONCE))
    # The memory of a batch is used again for a later one.
    parts = [(np.array(inputs[MEAN]), *np.nonzero(labels)) for inputs, labels in batches]
    means = np.concatenate([part[0] for part in parts])[:most]
    labels = np.full((len(means), max(np.bincount(rows).max(initial=1) for _, rows, _ in parts)), classes, np.int32)
    for place, (_, rows, ids) in enumerate(parts):
        videos = rows + place * READ_AT_ONCE
        within = np.arange(len(rows)) - np.searchsorted(rows, rows)
        kept = videos < most
        labels[videos[kept], within[kept]] = ids[kept]
    return means, labels


def _training_index(fn_args: tfx.components.FnArgs) -> VideoIndex:
    index = read_index(_files(fn_args.train_files))
    if not len(index):
        raise InputError("training data: no videos")
    return index


def _rated_index(name: str, patterns: list[str]) -> VideoIndex:
    """The index of a split whose videos have ratings."""
    index = read_index(_files(patterns))
    if not len(index.ratings):
        raise InputError(
            f"{name} data: no rated segment in {plural(len(index), 'video')}, level: segment needs ratings"
        )
    return index


def state_folder(fn_args: tfx.components.FnArgs, task: TrainingTask) -> Path:
    """Where a training or a search keeps its state: other data, settings, seed or code have another folder."""
    files = [fn_args.train_files, fn_args.eval_files, fn_args.transform_graph_path]
    identity = json.dumps([*files, fn_args.hyperparameters, task.identity()], sort_keys=True)
    return Path(task.state_dir) / hashlib.sha256(identity.encode()).hexdigest()[:16]


def _files(patterns: list[str]) -> list[str]:
    return [file for pattern in patterns for file in tf.io.gfile.glob(pattern)]
