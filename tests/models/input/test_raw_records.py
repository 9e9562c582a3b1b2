"""Parsing of raw records in a served model."""

import numpy as np
import pytest
import tensorflow as tf

from models.input.raw_records import parse_raw_frames, parse_raw_means

RGB = np.random.default_rng(0).integers(0, 256, (310, 1024), np.uint8)
AUDIO = np.random.default_rng(1).integers(0, 256, (310, 128), np.uint8)


def test_frames_are_read_from_the_record(frame_record):
    parsed = parse_raw_frames([frame_record(rgb=RGB[:4], audio=AUDIO[:4]), frame_record(rgb=RGB[:2], audio=AUDIO[:2])])
    assert parsed["num_frames"].numpy().tolist() == [4, 2]
    assert np.array_equal(parsed["frames"][0], np.concatenate([RGB, AUDIO], 1)[:4])
    assert np.array_equal(parsed["frames"][1, :2], np.concatenate([RGB, AUDIO], 1)[:2])


def test_longer_records_are_truncated_to_300_frames(frame_record):
    parsed = parse_raw_frames([frame_record(rgb=RGB, audio=AUDIO)])
    assert parsed["frames"].shape == (1, 300, 1152) and parsed["num_frames"].numpy().tolist() == [300]


def test_means_come_from_either_level_in_one_batch(frame_record, video_record):
    mean = np.linspace(-1, 1, 1024, dtype=np.float32)
    parsed = parse_raw_means([frame_record(rgb=RGB[:5], audio=AUDIO[:5]), video_record(mean_rgb=mean)])["mean"]
    expected = (np.concatenate([RGB, AUDIO], 1)[:5].astype(np.float64) * 4 / 255 + 4 / 512 - 2).mean(0)
    np.testing.assert_allclose(parsed[0], expected, rtol=1e-5, atol=1e-6)
    assert np.array_equal(parsed[1, :1024], mean)


def test_the_message_for_a_record_without_features_says_why(frame_record, video_record):
    with pytest.raises(tf.errors.InvalidArgumentError, match="no rgb and audio frames: is it a video-level record"):
        parse_raw_frames([video_record()])
    with pytest.raises(tf.errors.InvalidArgumentError, match="no frames and no mean_rgb of 1024"):
        parse_raw_means([video_record(mean_rgb=None)])
    with pytest.raises(tf.errors.InvalidArgumentError, match="rgb is not 1024 bytes for each rgb frame"):
        parse_raw_frames([frame_record(rgb=RGB[:3, :1000])])
    with pytest.raises(tf.errors.InvalidArgumentError, match="audio is not 128 bytes for each rgb frame"):
        parse_raw_frames([frame_record(rgb=RGB[:3], audio=AUDIO[:2])])
