"""Decoding of packed records in TensorFlow graphs."""

import tensorflow as tf

from models.features import AUDIO_WIDTH, MAX_FRAMES, RGB_WIDTH


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
