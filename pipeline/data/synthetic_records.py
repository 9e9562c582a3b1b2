"""Synthetic videos as the records that YouTube-8M publishes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tensorflow.core.example import example_pb2, feature_pb2

from models.features import (
    AUDIO,
    ID,
    LABELS,
    MEAN_AUDIO,
    MEAN_RGB,
    RGB,
    RGB_WIDTH,
    SEGMENT_ENDS,
    SEGMENT_FRAMES,
    SEGMENT_LABELS,
    SEGMENT_SCORES,
    SEGMENT_STARTS,
    Level,
)
from models.layers.quantization import dequantize
from pipeline.data.synthetic_segments import Rating
from pipeline.data.synthetic_videos import SyntheticVideo


def serialize(video_id: str, video: SyntheticVideo, ratings: Sequence[Rating], level: Level) -> bytes:
    """A serialized SequenceExample as published; at the video level its second field is present and empty."""
    context = {ID: _of_bytes(video_id.encode()), LABELS: _of_numbers(video.labels.tolist())}
    if ratings:
        starts = [rating.start for rating in ratings]
        context |= {
            SEGMENT_STARTS: _of_numbers(starts),
            SEGMENT_ENDS: _of_numbers([start + SEGMENT_FRAMES for start in starts]),
            SEGMENT_LABELS: _of_numbers([rating.label for rating in ratings]),
            SEGMENT_SCORES: _of_floats([float(rating.holds) for rating in ratings]),
        }
    lists = {}
    if level == "video":
        mean = np.asarray(dequantize(video.frames.mean(axis=0)))
        context |= {MEAN_RGB: _of_floats(mean[:RGB_WIDTH]), MEAN_AUDIO: _of_floats(mean[RGB_WIDTH:])}
    else:
        for name, columns in ((RGB, slice(0, RGB_WIDTH)), (AUDIO, slice(RGB_WIDTH, None))):
            frames = [_of_bytes(row.tobytes()) for row in video.frames[:, columns]]
            lists[name] = feature_pb2.FeatureList(feature=frames)
    example = example_pb2.SequenceExample(
        context=feature_pb2.Features(feature=context), feature_lists=feature_pb2.FeatureLists(feature_list=lists)
    )
    # Map fields have no fixed order: without this, equal seeds would not give equal bytes.
    return example.SerializeToString(deterministic=True)


def _of_bytes(value: bytes) -> feature_pb2.Feature:
    return feature_pb2.Feature(bytes_list=feature_pb2.BytesList(value=[value]))


def _of_numbers(values: Sequence[int]) -> feature_pb2.Feature:
    return feature_pb2.Feature(int64_list=feature_pb2.Int64List(value=values))


def _of_floats(values: Sequence[float] | NDArray[Any]) -> feature_pb2.Feature:
    return feature_pb2.Feature(float_list=feature_pb2.FloatList(value=values))
