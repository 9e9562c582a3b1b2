"""Parsing of raw YouTube-8M records in the graph of a served model."""

import tensorflow as tf

from models.encoders.average import mean_of_frames
from models.features import (
    AUDIO,
    AUDIO_WIDTH,
    FRAMES,
    MAX_FRAMES,
    MEAN,
    MEAN_AUDIO,
    MEAN_RGB,
    NUM_FRAMES,
    RGB,
    RGB_WIDTH,
)
from models.input.decoding import packed_frames


def parse_raw_frames(records: tf.Tensor) -> dict[str, tf.Tensor]:
    """The frames of frame-level records, as YouTube-8M publishes them.

    Args:
        records: string[B], serialized tf.SequenceExample.

    Returns:
        `frames` uint8 [B, F, 1152], with F the frames of the longest video, at most 300; `num_frames` int32 [B].

    Raises:
        tf.errors.InvalidArgumentError: a record has no frames, or streams of unequal length or of wrong width.
    """
    rgb, audio, num_frames = _streams(records)
    with tf.control_dependencies(
        [tf.debugging.assert_positive(num_frames, "a record has no rgb and audio frames: is it a video-level record?")]
    ):
        return _frames(rgb, audio, num_frames)


def parse_raw_means(records: tf.Tensor) -> dict[str, tf.Tensor]:
    """The mean features of records of either level: stored means, or the mean of the frames.

    Args:
        records: string[B], serialized tf.Example or tf.SequenceExample.

    Returns:
        `mean` float32 [B, 1152].

    Raises:
        tf.errors.InvalidArgumentError: a record has neither means nor frames, or they have a wrong width.
    """
    context, _, _ = tf.io.parse_sequence_example(
        records, {name: tf.io.RaggedFeature(tf.float32) for name in (MEAN_RGB, MEAN_AUDIO)}
    )
    rgb, audio, num_frames = _streams(records)
    has_frames = num_frames > 0
    stored_means = []
    for name, width in ((MEAN_RGB, RGB_WIDTH), (MEAN_AUDIO, AUDIO_WIDTH)):
        usable = (context[name].row_lengths() == width) | has_frames
        assertion = tf.debugging.assert_equal(usable, True, f"a record has no frames and no {name} of {width}")
        with tf.control_dependencies([assertion]):
            stored_means.append(context[name].to_tensor(shape=[None, width]))
    frames = _frames(rgb, audio, num_frames)
    frame_means = mean_of_frames(frames[FRAMES], tf.maximum(num_frames, 1))
    return {MEAN: tf.where(has_frames[:, None], frame_means, tf.concat(stored_means, axis=-1))}


def _streams(records: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """The frames of each stream as one string per video, and the number of frames (int32, not yet limited to 300)."""
    _, lists, _ = tf.io.parse_sequence_example(
        records, sequence_features={name: tf.io.RaggedFeature(tf.string) for name in (RGB, AUDIO)}
    )
    # Each frame is a list of one string: merge_dims drops that inner axis.
    frames = {name: value.merge_dims(1, 2) for name, value in lists.items()}
    num_frames = tf.cast(frames[RGB].row_lengths(), tf.int32)
    streams = []
    for name, width in ((RGB, RGB_WIDTH), (AUDIO, AUDIO_WIDTH)):
        stream = tf.strings.reduce_join(frames[name], axis=1)
        assertion = tf.debugging.assert_equal(
            tf.strings.length(stream), num_frames * width, f"{name} is not {width} bytes for each rgb frame"
        )
        with tf.control_dependencies([assertion]):
            streams.append(tf.identity(stream))
    return streams[0], streams[1], num_frames


def _frames(rgb: tf.Tensor, audio: tf.Tensor, num_frames: tf.Tensor) -> dict[str, tf.Tensor]:
    num_frames = tf.minimum(num_frames, MAX_FRAMES)
    # At least one frame: a batch of video-level records has none but still needs a shape.
    longest = tf.maximum(tf.reduce_max(num_frames), 1)
    return {FRAMES: packed_frames(rgb, audio, longest), NUM_FRAMES: num_frames}
