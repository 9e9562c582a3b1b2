"""Checks the ratings of a frame-level record: what raters said about labels of segments."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

from tensorflow.core.example import feature_pb2

from models.features import SEGMENT_ENDS, SEGMENT_FRAMES, SEGMENT_LABELS, SEGMENT_SCORES, SEGMENT_STARTS


@dataclass(frozen=True)
class RejectedRating:
    """A rating that cannot be used: its place in the lists of its record, and the reason."""

    number: int
    reason: str

    def line(self, file: str, record: int) -> bytes:
        """A line of JSON."""
        place = {"file": file, "record": record, "rating": self.number}
        return json.dumps(place | {"reason": self.reason}).encode() + b"\n"

    def text(self, file: str, record: int) -> str:
        """The rating and the reason in words."""
        return f"{file}, record {record}, rating {self.number}: {self.reason}"


@dataclass(frozen=True)
class Ratings:
    """Ratings of a video's segments, or its segments without ratings.

    Attributes:
        starts: first frame of the segment of each rating, or of each segment.
        labels: id that is rated; empty where segments have no ratings.
        scores: 1.0 where the label holds in the segment, else 0.0; empty where segments have no ratings.
    """

    starts: tuple[int, ...]
    labels: tuple[int, ...] = ()
    scores: tuple[float, ...] = ()

    def features(self) -> dict[str, feature_pb2.Feature]:
        """The features of a packed video; none where there are no segments."""
        if not self.starts:
            return {}
        ends = [start + SEGMENT_FRAMES for start in self.starts]
        features = {SEGMENT_STARTS: _numbers(self.starts), SEGMENT_ENDS: _numbers(ends)}
        if self.labels:
            scores = feature_pb2.Feature(float_list=feature_pb2.FloatList(value=self.scores))
            features |= {SEGMENT_LABELS: _numbers(self.labels), SEGMENT_SCORES: scores}
        return features


def check_ratings(
    starts: Sequence[int],
    ends: Sequence[int],
    labels: Sequence[int],
    scores: Sequence[float],
    frames: int,
    classes: int | None,
) -> tuple[Ratings, tuple[RejectedRating, ...]]:
    """Keeps the ratings that can be used.

    Args:
        starts: first frame of each rating's segment.
        ends: the frame after its last; empty: all segments have five frames.
        labels: id that is rated; empty, as `scores` are: segments without ratings.
        scores: whether the label holds.
        frames: of the video that are kept.
        classes: size of the vocabulary; None: any labels.

    Returns:
        The ratings that can be used, in their order, and the others.

    Raises:
        ValueError: the lists have different lengths.
    """
    lengths = {SEGMENT_STARTS: len(starts), SEGMENT_ENDS: len(ends)}
    if labels or scores:
        lengths |= {SEGMENT_LABELS: len(labels), SEGMENT_SCORES: len(scores)}
    elif not ends:
        ends = [start + SEGMENT_FRAMES for start in starts]
        del lengths[SEGMENT_ENDS]
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise ValueError(f"the lists of ratings have different numbers of values ({listed}), expected equal numbers")
    reasons = dict(enumerate(_reason_of_segment(*segment, frames) for segment in zip(starts, ends, strict=True)))
    for number, (label, score) in enumerate(zip(labels, scores, strict=True)):
        reasons[number] = reasons[number] or _reason_of_rating(label, score, classes)
    kept = [number for number, reason in reasons.items() if not reason]
    for number, reason in _repeated(kept, starts, labels, scores):
        reasons[number] = reason
    kept = [number for number in kept if not reasons[number]]
    rejected = tuple(RejectedRating(number, reason) for number, reason in reasons.items() if reason)
    ratings = Ratings(
        tuple(starts[number] for number in kept),
        tuple(labels[number] for number in kept) if labels else (),
        tuple(scores[number] for number in kept) if labels else (),
    )
    return ratings, rejected


def _reason_of_segment(start: int, end: int, frames: int) -> str:
    """Why a segment cannot be used, else ""."""
    segment = f"the segment from {start} to {end}"
    if start < 0:
        return f"{segment} begins before the video, expected 0 or more"
    if end <= start:
        return f"{segment} does not end after it begins, expected the end {start + SEGMENT_FRAMES}"
    if end - start != SEGMENT_FRAMES:
        return f"{segment} has {end - start} frames, expected {SEGMENT_FRAMES}"
    if end > frames:
        return f"{segment} ends after the video, which has {frames} frames"
    return ""


def _reason_of_rating(label: int, score: float, classes: int | None) -> str:
    """Why a rating cannot be used, else ""."""
    if classes is not None and not 0 <= label < classes:
        return f"label {label} is outside the vocabulary, expected 0 to {classes - 1}"
    if math.isnan(score) or score not in (0.0, 1.0):
        return f"score is {score:g}, expected 0 or 1"
    return ""


def _repeated(
    numbers: Sequence[int], starts: Sequence[int], labels: Sequence[int], scores: Sequence[float]
) -> list[tuple[int, str]]:
    """Ratings of a segment and label that are rated more than once: of equal ones the first counts, of others none."""
    same: dict[tuple[int, ...], list[int]] = {}
    for number in numbers:
        same.setdefault((starts[number], labels[number]) if labels else (starts[number],), []).append(number)
    reasons = []
    for key, (first, *again) in same.items():
        what = f"label {key[1]} of the segment at {key[0]} is rated" if labels else f"the segment at {key[0]} is listed"
        differing = [number for number in again if labels and scores[number] != scores[first]]
        if differing:
            reason = f"{what} 0 and 1 (ratings {first} and {differing[0]}), expected one score"
            reasons += [(number, reason) for number in (first, *again)]
        else:
            reasons += [(number, f"{what} again, first in rating {first}") for number in again]
    return reasons


def _numbers(values: Sequence[int]) -> feature_pb2.Feature:
    return feature_pb2.Feature(int64_list=feature_pb2.Int64List(value=values))
