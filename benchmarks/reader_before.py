"""The reader of release 0.2 and before, with tf.data: what the reader of training is compared with.

Every record is parsed whole, in batches, and frames are sampled from batches of all frames.
"""

import random
from collections.abc import Callable, Sequence

import tensorflow as tf
import tensorflow_transform as tft

from models.features import AUDIO, FRAMES, LABEL_IDS, LABELS, MEAN, NUM_FRAMES, RGB, WIDTH, YT8M_CLASSES
from models.input.decoding import multi_hot, packed_frames

SHARDS_AT_ONCE = 16

# Videos in the shuffle buffer, as the experiments set it.
SHUFFLED_FRAMES, SHUFFLED_MEANS = 1024, 32_768

Batch = tuple[dict[str, tf.Tensor], tf.Tensor]


def frame_batches(files: Sequence[str], graph: str, batch_size: int, *, sampled_frames: int | None) -> tf.data.Dataset:
    """Batches of frames uint8 [B, F, 1152], through Transform's graph.

    Args:
        files: ExampleGen's packed examples.
        graph: Transform's.
        batch_size: videos in a batch.
        sampled_frames: how many frames of a video are drawn with replacement; None for all 300.
    """
    transform = tft.TFTransformOutput(graph)
    layer, spec = transform.transform_features_layer(), transform.raw_feature_spec()

    def parse(number: tf.Tensor, examples: tf.Tensor) -> Batch:
        features = layer(tf.io.parse_example(examples, spec))
        frames = packed_frames(features[RGB], features[AUDIO])
        num_frames = tf.cast(features[NUM_FRAMES], tf.int32)
        if sampled_frames:
            frames, num_frames = _sampled(frames, num_frames, sampled_frames, tf.stack([0, number]))
        return {FRAMES: frames, NUM_FRAMES: num_frames}, features[LABELS]

    return _batches(files, parse, batch_size, SHUFFLED_FRAMES)


def mean_batches(files: Sequence[str], batch_size: int) -> tf.data.Dataset:
    """Batches of mean features float32 [B, 1152] from Transform's files."""
    spec = {MEAN: tf.io.FixedLenFeature([WIDTH], tf.float32), LABEL_IDS: tf.io.VarLenFeature(tf.int64)}

    def parse(_: tf.Tensor, examples: tf.Tensor) -> Batch:
        parsed = tf.io.parse_example(examples, spec)
        return {MEAN: parsed[MEAN]}, multi_hot(parsed[LABEL_IDS], YT8M_CLASSES)

    return _batches(files, parse, batch_size, SHUFFLED_MEANS)


def _batches(
    files: Sequence[str], parse: Callable[[tf.Tensor, tf.Tensor], Batch], batch_size: int, shuffle_videos: int
) -> tf.data.Dataset:
    files = random.Random(0).sample(files, len(files))
    records = tf.data.Dataset.from_tensor_slices(files).interleave(
        tf.data.TFRecordDataset,
        cycle_length=SHARDS_AT_ONCE,
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )
    return (
        records.shuffle(shuffle_videos, seed=0, reshuffle_each_iteration=False)
        .batch(batch_size)
        .enumerate()
        .map(parse, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .prefetch(tf.data.AUTOTUNE)
    )


def _sampled(frames: tf.Tensor, num_frames: tf.Tensor, count: int, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    videos = tf.shape(frames)[0]
    uniform = tf.random.stateless_uniform([videos, count], seed)
    indices = tf.cast(uniform * tf.cast(num_frames[:, None], tf.float32), tf.int32)
    rows = tf.broadcast_to(tf.range(videos)[:, None], tf.shape(indices))
    return tf.gather_nd(frames, tf.stack([rows, indices], axis=-1)), tf.fill([videos], count)
