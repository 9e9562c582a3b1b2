"""One raw YouTube-8M record checked and packed into the pipeline's tf.Example."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError
from tensorflow.core.example import example_pb2, feature_pb2

from models.features import (
    AUDIO,
    AUDIO_WIDTH,
    ID,
    LABELS,
    MAX_FRAMES,
    MEAN_AUDIO,
    MEAN_RGB,
    NUM_FRAMES,
    RGB,
    RGB_WIDTH,
    YT8M_CLASSES,
    Level,
)

# Files of 2017 (version 1) name the id so, and count 4,716 classes.
V1_ID = "video_id"


class BadRecord(ValueError):
    """A record that cannot be used; the message says why, without naming its file."""


@dataclass(frozen=True)
class PackedVideo:
    """A record as the pipeline keeps it, and what was mended to get there."""

    id: bytes
    example: bytes
    labels: int
    frames: int
    cut_frames: bool
    repeated_labels: bool


def level_of(record: bytes) -> Level:
    """Says whether a raw record holds frames or their means.

    Raises:
        BadRecord: it holds neither, or is no tf.Example or tf.SequenceExample.
    """
    return _level(_parse(record))


def pack(record: bytes, level: Level, classes: int | None, kept_features: Sequence[str] = ()) -> PackedVideo:
    """Checks a raw record and packs it.

    Args:
        record: serialized tf.SequenceExample (or tf.Example for the video level) as published.
        level: what the data set holds.
        classes: size of the vocabulary; labels lie in 0 .. classes - 1, one at least. None: any labels, or none.
        kept_features: of the record's own features, those that are kept as they are, where it has them.

    Returns:
        The video: `id`, `labels` (sorted, each once), and `mean_rgb`, `mean_audio` (video level) or `rgb`, `audio`
        (bytes of the first 300 frames, one after another) and `num_frames` (frame level).

    Raises:
        BadRecord: says what is wrong, the value seen and what is allowed.
    """
    sequence = _parse(record)
    found = _level(sequence)
    if found != level:
        raise BadRecord(f"{found}-level record in a {level}-level data set")
    context = sequence.context.feature
    video_id, v1 = _id(context)
    labels = _labels(context, classes, v1)
    features: dict[str, feature_pb2.Feature] = {name: context[name] for name in kept_features if name in context}
    features |= {
        ID: feature_pb2.Feature(bytes_list=feature_pb2.BytesList(value=[video_id])),
        LABELS: feature_pb2.Feature(int64_list=feature_pb2.Int64List(value=sorted(set(labels)))),
    }
    frames = 0
    if level == "video":
        features[MEAN_RGB] = _mean(context, MEAN_RGB, RGB_WIDTH)
        features[MEAN_AUDIO] = _mean(context, MEAN_AUDIO, AUDIO_WIDTH)
    else:
        lists = sequence.feature_lists.feature_list
        rgb, audio = _frames(lists, RGB, RGB_WIDTH), _frames(lists, AUDIO, AUDIO_WIDTH)
        if len(rgb) != len(audio):
            raise BadRecord(f"rgb has {len(rgb)} frames and audio {len(audio)}, expected equal numbers")
        frames = min(len(rgb), MAX_FRAMES)
        for name, values in ((RGB, rgb), (AUDIO, audio)):
            packed = b"".join(values[:MAX_FRAMES])
            features[name] = feature_pb2.Feature(bytes_list=feature_pb2.BytesList(value=[packed]))
        features[NUM_FRAMES] = feature_pb2.Feature(int64_list=feature_pb2.Int64List(value=[frames]))
    example = example_pb2.Example(features=feature_pb2.Features(feature=features))
    return PackedVideo(
        id=video_id,
        example=example.SerializeToString(deterministic=True),
        labels=len(set(labels)),
        frames=frames,
        cut_frames=level == "frame" and len(rgb) > MAX_FRAMES,
        repeated_labels=len(set(labels)) < len(labels),
    )


def _parse(record: bytes) -> example_pb2.SequenceExample:
    # An Example is on the wire a SequenceExample without feature lists, so one parse serves both levels.
    try:
        return example_pb2.SequenceExample.FromString(record)
    except DecodeError:
        raise BadRecord("not a tf.Example or tf.SequenceExample") from None


def _level(sequence: example_pb2.SequenceExample) -> Level:
    lists, context = sequence.feature_lists.feature_list, sequence.context.feature
    if RGB in lists or AUDIO in lists:
        return "frame"
    if MEAN_RGB in context or MEAN_AUDIO in context:
        return "video"
    if not context and not lists:
        raise BadRecord("not a tf.Example or tf.SequenceExample (no features)")
    seen = ", ".join(sorted([*context, *lists]))
    raise BadRecord(f"has neither {RGB} and {AUDIO} nor {MEAN_RGB} and {MEAN_AUDIO} (features seen: {seen})")


def _id(context: Mapping[str, feature_pb2.Feature]) -> tuple[bytes, bool]:
    for key in (ID, V1_ID):
        if key in context and (values := context[key].bytes_list.value):
            return values[0], key == V1_ID
    raise BadRecord(f"feature {ID} is missing")


def _labels(context: Mapping[str, feature_pb2.Feature], classes: int | None, v1: bool) -> list[int]:
    if classes is None:
        return list(context[LABELS].int64_list.value) if LABELS in context else []
    if LABELS not in context:
        raise BadRecord(f"feature {LABELS} is missing")
    labels = list(context[LABELS].int64_list.value)
    if not labels:
        raise BadRecord("has no labels, expected at least one")
    for label in labels:
        if not 0 <= label < classes:
            hint = (
                f"; the record is of YouTube-8M version 1 (4716 classes), use version 2 ({YT8M_CLASSES})" if v1 else ""
            )
            raise BadRecord(f"label {label} is outside the vocabulary, expected 0 to {classes - 1}{hint}")
    return labels


def _mean(context: Mapping[str, feature_pb2.Feature], name: str, width: int) -> feature_pb2.Feature:
    if name not in context:
        raise BadRecord(f"feature {name} is missing")
    values = context[name].float_list.value
    if len(values) != width:
        raise BadRecord(f"{name} has {len(values)} values, expected {width}")
    # One NaN or infinity makes the sum non-finite; 1152 finite float32 values cannot overflow a Python float.
    if not math.isfinite(sum(values)):
        bad = next(i for i, value in enumerate(values) if not math.isfinite(value))
        raise BadRecord(f"{name}[{bad}] is {values[bad]}, expected a finite number")
    return context[name]


def _frames(lists: Mapping[str, Any], name: str, width: int) -> list[bytes]:
    if name not in lists:
        raise BadRecord(f"feature {name} is missing")
    frames = [b"".join(frame.bytes_list.value) for frame in lists[name].feature]
    if not frames:
        raise BadRecord(f"{name} has no frames, expected 1 to {MAX_FRAMES}")
    for number, frame in enumerate(frames):
        if len(frame) != width:
            raise BadRecord(f"{name} has {len(frame)} bytes in frame {number}, expected {width}")
    return frames
