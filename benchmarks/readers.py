"""Readers of the same files, from the least that reading can cost to what a beginner writes."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count
from typing import Any

import numpy as np
import tensorflow as tf
from input_data import InputData
from reader_before import frame_batches, mean_batches

from models.features import (
    AUDIO,
    AUDIO_WIDTH,
    LABELS,
    MAX_FRAMES,
    MEAN_AUDIO,
    MEAN_RGB,
    RGB,
    RGB_WIDTH,
    WIDTH,
    YT8M_CLASSES,
)
from models.input.index import read_index
from models.input.indexed_batches import IndexedBatches
from models.training_settings import TrainingSettings

BATCH_SIZE = 128

# Of readers that sample frames.
SAMPLED_FRAMES = 30

Reader = Callable[[], Iterable[Any]]


def reader(data: InputData, name: str) -> Reader:
    """Sets up a reader by its name in `input_readers.READERS`; called, it reads all videos once, in batches."""
    files = data.files
    match name:
        case "raw read":
            return _same(tf.data.TFRecordDataset(files).batch(BATCH_SIZE).prefetch(tf.data.AUTOTUNE))
        case "memcpy":
            return _memcpy(files, data.train_videos)
        case "all frames" | "means":
            return _ours(files)
        case "30 random frames":
            return _ours(files, frame_sampling="random", sampled_frames=SAMPLED_FRAMES)
        case "window of 30":
            return _ours(files, frame_sampling="window", sampled_frames=SAMPLED_FRAMES)
        case "stride to 30":
            return _ours(files, frame_sampling="stride", sampled_frames=SAMPLED_FRAMES)
        case "before: all frames":
            return _same(frame_batches(files, data.graph, BATCH_SIZE, sampled_frames=None))
        case "before: 30 random frames":
            return _same(frame_batches(files, data.graph, BATCH_SIZE, sampled_frames=SAMPLED_FRAMES))
        case "before: means":
            return _same(mean_batches(files, BATCH_SIZE))
        case "starter style":
            records = tf.data.TFRecordDataset(data.raw_files).take(data.train_videos)
            if data.level == "frame":
                videos = records.map(_starter_frames, num_parallel_calls=tf.data.AUTOTUNE)
                batches = videos.shuffle(BATCH_SIZE).batch(BATCH_SIZE)
            else:
                batches = records.batch(BATCH_SIZE).map(_starter_means, num_parallel_calls=tf.data.AUTOTUNE)
            return _same(batches.prefetch(tf.data.AUTOTUNE))
    raise ValueError(f"reader {name!r} is not in input_readers.READERS")


def consume(batch: Any) -> None:
    """Gives the tensors of a batch to the operation that takes the least time itself and reads none of their bytes."""
    for tensor in tf.nest.flatten(batch):
        tf.identity(tensor)


def _same(batches: tf.data.Dataset) -> Reader:
    return lambda: batches


def _ours(files: Sequence[str], **sampling: Any) -> Reader:
    """The reader of training: shuffled, in another order in each round, as epochs are."""
    batches = IndexedBatches(read_index(files), YT8M_CLASSES, BATCH_SIZE, sampling=TrainingSettings(**sampling))
    rounds = count()
    return lambda: batches.shuffled(f"0-{next(rounds)}")


def _memcpy(files: Sequence[str], videos: int) -> Reader:
    """Copies the bytes of mapped files, a batch at a time, and makes no tensors of them."""
    mapped = [np.memmap(file, np.uint8, "r") for file in files]
    size = sum(map(len, mapped)) * BATCH_SIZE // videos
    target = np.empty(size, np.uint8)

    def copies() -> Iterator[tuple[()]]:
        for file in mapped:
            for start in range(0, len(file), size):
                part = file[start : start + size]
                target[: len(part)] = part
                yield ()

    return copies


# YouTube-8M's starter code (google/youtube-8m: readers.py, train.py) reads raw shards in several threads: frames record
# by record, dequantized to float32 on the host, padded, and shuffled in a queue of at least a batch; means in batches.


def _starter_frames(record: tf.Tensor) -> tuple[tf.Tensor, ...]:
    context, lists = tf.io.parse_single_sequence_example(
        record,
        {LABELS: tf.io.VarLenFeature(tf.int64)},
        {name: tf.io.FixedLenSequenceFeature([], tf.string) for name in (RGB, AUDIO)},
    )
    streams = []
    for name, width in ((RGB, RGB_WIDTH), (AUDIO, AUDIO_WIDTH)):
        codes = tf.cast(tf.io.decode_raw(lists[name], tf.uint8), tf.float32)
        features = tf.reshape(codes, [-1, width])[:MAX_FRAMES] * (4 / 255) + (4 / 512 - 2)
        streams.append(tf.pad(features, [[0, MAX_FRAMES - tf.shape(features)[0]], [0, 0]]))
    frames = tf.ensure_shape(tf.concat(streams, axis=1), [MAX_FRAMES, WIDTH])
    return frames, tf.minimum(tf.shape(lists[RGB])[0], MAX_FRAMES), _indicators(context[LABELS])


def _starter_means(records: tf.Tensor) -> tuple[tf.Tensor, ...]:
    means = {MEAN_RGB: RGB_WIDTH, MEAN_AUDIO: AUDIO_WIDTH}
    spec = {name: tf.io.FixedLenFeature([width], tf.float32) for name, width in means.items()}
    parsed = tf.io.parse_example(records, {**spec, LABELS: tf.io.VarLenFeature(tf.int64)})
    return tf.concat([parsed[name] for name in means], axis=1), _indicators(parsed[LABELS])


def _indicators(label_ids: tf.SparseTensor) -> tf.Tensor:
    return tf.sparse.to_indicator(label_ids, YT8M_CLASSES)
