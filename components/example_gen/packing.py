"""Checks a raw YouTube-8M record and packs it into the pipeline's tf.Example."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError
from tensorflow.core.example import example_pb2, feature_pb2

from components.example_gen.ratings import RejectedRating, check_ratings
from components.example_gen.serialization import serialize
from models.errors import plural, quote
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
    SEGMENT_ENDS,
    SEGMENT_LABELS,
    SEGMENT_SCORES,
    SEGMENT_STARTS,
    YT8M_CLASSES,
    Level,
)

# The id's name in files of 2017 (version 1), which have 4,716 classes.
V1_ID = "video_id"

# Codes stand for values from -1.992 to 2.008, so their means lie there too, as all published ones do. A value beyond
# this limit is not a mean of such frames, and a few such values make a training diverge.
LARGEST_MEAN = 2.5

# Features whose values the index finds, by level.
INDEXED = {"frame": (RGB, AUDIO), "video": (MEAN_RGB, MEAN_AUDIO)}

_BYTES, _FLOATS, _NUMBERS = "bytes_list", "float_list", "int64_list"
_KINDS = {_BYTES: "bytes", _FLOATS: "floats", _NUMBERS: "whole numbers"}

# How many features of a record a message lists where none of the expected ones is among them.
SHOWN = 4


class InvalidRecord(ValueError):
    """A record that cannot be used; the message has the reason, without the file."""


@dataclass(frozen=True)
class PackedVideo:
    """A record as the pipeline keeps it, and what was changed in it.

    Attributes:
        example: a serialized tf.Example.
        starts: where in it the bytes of each stream, or of its mean, begin.
        labels: ids, sorted, each once.
        label_vector: whether its labels seem to be a 0 or 1 for each class instead of ids.
        kept: kind and hashes of the values of each kept feature.
        ratings: first frame of the segment, label and score of each that is kept.
        rejected_ratings: those that cannot be used.
    """

    id: bytes
    example: bytes
    starts: Mapping[str, int]
    labels: tuple[int, ...]
    frames: int
    cut_frames: bool
    repeated_labels: bool
    label_vector: bool
    kept: Mapping[str, tuple[str, frozenset[int]]]
    ratings: tuple[tuple[int, int, float], ...] = ()
    rejected_ratings: tuple[RejectedRating, ...] = ()


def level_of(record: bytes) -> Level:
    """Whether a raw record holds frames or their means.

    Raises:
        InvalidRecord: it holds neither, or is neither a tf.Example nor a tf.SequenceExample.
    """
    return _level(_parse(record))


def pack(record: bytes, level: Level, classes: int | None, kept_features: Sequence[str] = ()) -> PackedVideo:
    """Checks a raw record and packs it.

    Args:
        record: serialized tf.SequenceExample (or tf.Example for the video level) as published.
        level: what the data set holds.
        classes: size of the vocabulary; a record needs a label, and labels lie in 0 .. classes - 1. None: any or no
            labels.
        kept_features: names of further features that are kept as they are, where the record has them.

    Returns:
        The video: `id`, `labels` (sorted, each once), and `mean_rgb`, `mean_audio` (video level) or `rgb`, `audio`
        (bytes of the first 300 frames, one after another), `num_frames` and, where it has any, its segments and their
        ratings (frame level).

    Raises:
        InvalidRecord: with the problem, the value and what is allowed.
    """
    sequence = _parse(record)
    actual = _level(sequence)
    if actual != level:
        raise InvalidRecord(f"{actual}-level record in a {level}-level data set")
    context = sequence.context.feature
    video_id, v1 = _id(context)
    listed = _labels(context, classes, v1)
    labels = tuple(sorted(set(listed)))
    features: dict[str, feature_pb2.Feature] = {name: context[name] for name in kept_features if name in context}
    kept = {name: _kept(feature, name) for name, feature in features.items()}
    features |= {
        ID: feature_pb2.Feature(bytes_list=feature_pb2.BytesList(value=[video_id])),
        LABELS: feature_pb2.Feature(int64_list=feature_pb2.Int64List(value=labels)),
    }
    frames = 0
    ratings: tuple[tuple[int, int, float], ...] = ()
    rejected_ratings: tuple[RejectedRating, ...] = ()
    if level == "video":
        features[MEAN_RGB] = _mean(context, MEAN_RGB, RGB_WIDTH)
        features[MEAN_AUDIO] = _mean(context, MEAN_AUDIO, AUDIO_WIDTH)
    else:
        lists = sequence.feature_lists.feature_list
        rgb, audio = _frames(lists, RGB, RGB_WIDTH), _frames(lists, AUDIO, AUDIO_WIDTH)
        if len(rgb) != len(audio):
            raise InvalidRecord(f"rgb has {plural(len(rgb), 'frame')} and audio {len(audio)}, expected equal numbers")
        frames = min(len(rgb), MAX_FRAMES)
        for name, values in ((RGB, rgb), (AUDIO, audio)):
            packed = b"".join(values[:MAX_FRAMES])
            features[name] = feature_pb2.Feature(bytes_list=feature_pb2.BytesList(value=[packed]))
        features[NUM_FRAMES] = feature_pb2.Feature(int64_list=feature_pb2.Int64List(value=[frames]))
        rated, ratings, rejected_ratings = _ratings(context, frames, classes)
        features |= rated
    example, starts = serialize(features, INDEXED[level])
    return PackedVideo(
        id=video_id,
        example=example,
        starts=starts,
        labels=labels,
        frames=frames,
        cut_frames=level == "frame" and len(rgb) > MAX_FRAMES,
        repeated_labels=len(labels) < len(listed),
        # With two classes [0, 1] are both ids.
        label_vector=classes is not None and len(listed) == classes > 2 and set(labels) <= {0, 1},
        kept=kept,
        ratings=ratings,
        rejected_ratings=rejected_ratings,
    )


def _parse(record: bytes) -> example_pb2.SequenceExample:
    # A serialized Example is a SequenceExample without feature lists, so one parse serves both levels.
    try:
        return example_pb2.SequenceExample.FromString(record)
    except DecodeError:
        raise InvalidRecord("not a tf.Example or tf.SequenceExample") from None


def _level(sequence: example_pb2.SequenceExample) -> Level:
    lists, context = sequence.feature_lists.feature_list, sequence.context.feature
    if RGB in lists or AUDIO in lists:
        return "frame"
    if MEAN_RGB in context or MEAN_AUDIO in context:
        return "video"
    if not context and not lists:
        raise InvalidRecord("not a tf.Example or tf.SequenceExample (no features)")
    seen = sorted([*context, *lists])
    shown = ", ".join(name if name.isidentifier() and len(name) <= 40 else quote(name) for name in seen[:SHOWN])
    more = f" and {len(seen) - SHOWN} more" if len(seen) > SHOWN else ""
    raise InvalidRecord(f"has neither {RGB} and {AUDIO} nor {MEAN_RGB} and {MEAN_AUDIO} (features seen: {shown}{more})")


def _id(context: Mapping[str, feature_pb2.Feature]) -> tuple[bytes, bool]:
    for key in (ID, V1_ID):
        if key not in context:
            continue
        values = _values(context[key], key, _BYTES, "the bytes of one id")
        if len(values) != 1:
            raise InvalidRecord(f"{key} has {plural(len(values), 'value')}, expected one id")
        return values[0], key == V1_ID
    raise InvalidRecord(f"feature {ID} is missing")


def _labels(context: Mapping[str, feature_pb2.Feature], classes: int | None, v1: bool) -> list[int]:
    if LABELS not in context and classes is not None:
        raise InvalidRecord(f"feature {LABELS} is missing")
    feature = context[LABELS] if LABELS in context else feature_pb2.Feature()
    labels = list(_values(feature, LABELS, _NUMBERS, "whole numbers: ids of the labels"))
    if classes is None:
        return labels
    if not labels:
        raise InvalidRecord("has no labels, expected at least one")
    for label in labels:
        if not 0 <= label < classes:
            hint = (
                f"; the record is of YouTube-8M version 1 (4716 classes), use version 2 ({YT8M_CLASSES})" if v1 else ""
            )
            raise InvalidRecord(f"label {label} is outside the vocabulary, expected 0 to {classes - 1}{hint}")
    return labels


def _values(feature: feature_pb2.Feature, name: str, kind: str, expected: str) -> Any:
    """The values of a feature; empty where it has no kind.

    Raises:
        InvalidRecord: they are of another kind.
    """
    actual = feature.WhichOneof("kind")
    if actual and actual != kind:
        raise InvalidRecord(f"{name} is a list of {_KINDS[actual]}, expected {expected}")
    return getattr(feature, kind).value


def _kept(feature: feature_pb2.Feature, name: str) -> tuple[str, frozenset[int]]:
    """The kind of a feature that makes slices, and hashes of its values."""
    kind = feature.WhichOneof("kind") or ""
    if kind == _FLOATS:
        raise InvalidRecord(f"{quote(name)} is a list of floats, expected text or whole numbers to make slices of")
    values = getattr(feature, kind).value if kind else ()
    for value in values if kind == _BYTES else ():
        try:
            value.decode()
        except UnicodeDecodeError:
            raise InvalidRecord(f"{quote(name)} is {quote(value)}, expected UTF-8 text to make slices of") from None
    hashes = (hashlib.blake2b(str(value).encode(), digest_size=6).digest() for value in values)
    return _KINDS.get(kind, ""), frozenset(int.from_bytes(digest, "big") for digest in hashes)


def _mean(context: Mapping[str, feature_pb2.Feature], name: str, width: int) -> feature_pb2.Feature:
    if name not in context:
        other = MEAN_RGB if name == MEAN_AUDIO else MEAN_AUDIO
        raise InvalidRecord(f"feature {name} is missing, {other} is there: both are needed")
    values = _values(context[name], name, _FLOATS, f"{width:,} floats")
    if len(values) != width:
        raise InvalidRecord(f"{name} has {plural(len(values), 'value')}, expected {width:,}")
    # One NaN or infinity makes the sum non-finite; 1152 finite float32 values cannot overflow a Python float.
    if not math.isfinite(sum(values)):
        bad = next(i for i, value in enumerate(values) if not math.isfinite(value))
        raise InvalidRecord(f"{name}[{bad}] is {values[bad]}, expected a finite number")
    if max(values) > LARGEST_MEAN or min(values) < -LARGEST_MEAN:
        bad = next(i for i, value in enumerate(values) if abs(value) > LARGEST_MEAN)
        raise InvalidRecord(
            f"{name}[{bad}] is {values[bad]:g}, expected -1.992 to 2.008 as the means of quantized frames"
        )
    return context[name]


def _ratings(
    context: Mapping[str, feature_pb2.Feature], frames: int, classes: int | None
) -> tuple[dict[str, feature_pb2.Feature], tuple[tuple[int, int, float], ...], tuple[RejectedRating, ...]]:
    """The features of segments and ratings, the ratings in them, and those that cannot be used."""
    kinds = {SEGMENT_STARTS: _NUMBERS, SEGMENT_ENDS: _NUMBERS, SEGMENT_LABELS: _NUMBERS, SEGMENT_SCORES: _FLOATS}
    starts, ends, labels, scores = (
        _values(context[name], name, kind, _KINDS[kind]) if name in context else () for name, kind in kinds.items()
    )
    try:
        ratings, rejected = check_ratings(starts, ends, labels, scores, frames, classes)
    except ValueError as error:
        raise InvalidRecord(str(error)) from None
    return ratings.features(), tuple(zip(ratings.starts, ratings.labels, ratings.scores, strict=False)), rejected


def _frames(lists: Mapping[str, Any], name: str, width: int) -> list[bytes]:
    if name not in lists:
        raise InvalidRecord(f"feature {name} is missing, {RGB if name == AUDIO else AUDIO} is there: both are needed")
    frames = [
        b"".join(frame.bytes_list.value or _values(frame, f"{name} in frame {number}", _BYTES, f"{width:,} bytes"))
        for number, frame in enumerate(lists[name].feature)
    ]
    if not frames:
        raise InvalidRecord(f"{name} has no frames, expected 1 to {MAX_FRAMES}")
    for number, frame in enumerate(frames):
        if len(frame) != width:
            raise InvalidRecord(f"{name} has {plural(len(frame), 'byte')} in frame {number}, expected {width:,}")
    return frames
