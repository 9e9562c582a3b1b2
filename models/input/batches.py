"""Batches of packed records: decoding in TensorFlow graphs, and the order in which training reads."""

import random
from collections.abc import Callable, Sequence

import tensorflow as tf

from models.features import AUDIO_WIDTH, LABEL_IDS, MAX_FRAMES, MEAN, RGB_WIDTH, WIDTH

# Shards read at once: enough to spread neighbours in a shard over many batches.
SHARDS_AT_ONCE = 16

Batch = dict[str, tf.Tensor]


def packed_frames(rgb: tf.Tensor, audio: tf.Tensor, frames: int | tf.Tensor = MAX_FRAMES) -> tf.Tensor:
    """The frames of packed videos, padded with zero bytes.

    Args:
        rgb: string[B], 1024 bytes a frame.
        audio: string[B], 128 bytes a frame.
        frames: length of the result; longer videos are truncated.

    Returns:
        uint8 [B, frames, 1152], still quantized.
    """
    streams = [
        tf.reshape(tf.io.decode_raw(stream, tf.uint8, fixed_length=frames * width), [-1, frames, width])
        for stream, width in ((rgb, RGB_WIDTH), (audio, AUDIO_WIDTH))
    ]
    return tf.concat(streams, axis=-1)


def multi_hot(label_ids: tf.SparseTensor, classes: int) -> tf.Tensor:
    """Multi-hot labels: section 3.1.1 of the thesis.

    Args:
        label_ids: int64 in 0 .. classes - 1, a row for each of B videos.
        classes: number of labels.

    Returns:
        float32 [B, classes] with ones at the label ids of each video.

    Example:
        >>> multi_hot(tf.sparse.from_dense(tf.constant([[1, 2]], tf.int64)), classes=4).numpy().tolist()
        [[0.0, 1.0, 1.0, 0.0]]
    """
    videos = tf.cast(label_ids.dense_shape[0], tf.int64)
    places = tf.stack([label_ids.indices[:, 0], label_ids.values], axis=1)
    labels = tf.scatter_nd(places, tf.ones_like(label_ids.values, tf.float32), tf.stack([videos, classes]))
    # An id that is listed twice would add up to 2.
    return tf.ensure_shape(tf.minimum(labels, 1.0), [None, classes])


def parse_means(examples: tf.Tensor, classes: int) -> tuple[Batch, tf.Tensor]:
    """Reads the mean features and labels of videos.

    Args:
        examples: string[B], serialized examples from Transform.
        classes: number of labels.

    Returns:
        `mean` float32 [B, 1152], and multi-hot labels float32 [B, classes].
    """
    parsed = tf.io.parse_example(
        examples, {MEAN: tf.io.FixedLenFeature([WIDTH], tf.float32), LABEL_IDS: tf.io.VarLenFeature(tf.int64)}
    )
    return {MEAN: parsed[MEAN]}, multi_hot(parsed[LABEL_IDS], classes)


def batches(
    files: Sequence[str],
    parse: Callable[[tf.Tensor], tuple[Batch, tf.Tensor]],
    batch_size: int,
    *,
    shuffle_videos: int = 0,
    seed: str = "",
    sample: Callable[[Batch, tf.Tensor], Batch] | None = None,
) -> tf.data.Dataset:
    """Reads shards into parsed batches, in an order that depends on the seed alone.

    Args:
        files: TFRecord shards.
        parse: maps serialized records string[B] to (inputs, labels); runs after batching, in parallel.
        batch_size: videos in a batch; the last one may hold fewer.
        shuffle_videos: size of the shuffle buffer in videos; 0 for file order.
        seed: of the order; names the run and epoch.
        sample: maps the inputs of a batch and its seed, int64[2], to new inputs. The batch's seed depends on `seed` and
            the batch's number alone, so skipping batches does not change the others.
    """
    files = sorted(files)
    generator = random.Random(seed)
    if shuffle_videos:
        generator.shuffle(files)
    records = tf.data.Dataset.from_tensor_slices(files).interleave(
        tf.data.TFRecordDataset, cycle_length=SHARDS_AT_ONCE, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )
    if shuffle_videos:
        records = records.shuffle(shuffle_videos, seed=generator.randrange(2**31), reshuffle_each_iteration=False)
    run_and_epoch = generator.getrandbits(63)

    def parsed(number: tf.Tensor, examples: tf.Tensor) -> tuple[Batch, tf.Tensor]:
        inputs, labels = parse(examples)
        return (sample(inputs, tf.stack([run_and_epoch, number])) if sample else inputs), labels

    return (
        records.batch(batch_size)
        .enumerate()
        .map(parsed, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .prefetch(tf.data.AUTOTUNE)
    )
