"""Counts of segments and of their ratings over the videos of a split."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from models.features import MAX_FRAMES, SEGMENT_LABELS, SEGMENT_SCORES, SEGMENT_STARTS


class SegmentCounts:
    """Counts of the segments of packed videos, see `components.example_gen.ratings`.

    Args:
        classes: size of the vocabulary, C.

    Attributes:
        segments_a_video: int64 [301], videos by number of segments; those without any are not counted.
        rated_segments: number of segments with a rating.
        ratings: int64 [C], ratings of each label.
        positives: int64 [C], those by which the label holds in the segment.
    """

    def __init__(self, classes: int):
        self.segments_a_video = np.zeros(MAX_FRAMES + 1, np.int64)
        self.rated_segments = 0
        self.ratings, self.positives = np.zeros(classes, np.int64), np.zeros(classes, np.int64)

    def add(self, features: Mapping[str, Any]) -> None:
        """Counts the segments of one packed video."""
        if SEGMENT_STARTS not in features:
            return
        segments = len(set(features[SEGMENT_STARTS].int64_list.value))
        self.segments_a_video[segments] += 1
        if SEGMENT_LABELS not in features:
            return
        self.rated_segments += segments
        labels = np.array(features[SEGMENT_LABELS].int64_list.value, np.int64)
        holds = np.array(features[SEGMENT_SCORES].float_list.value) > 0
        # A label may be rated in several segments of a video.
        np.add.at(self.ratings, labels, 1)
        np.add.at(self.positives, labels[holds], 1)

    def merge(self, other: "SegmentCounts") -> None:
        """Adds the segments that `other` counted."""
        self.segments_a_video += other.segments_a_video
        self.rated_segments += other.rated_segments
        self.ratings += other.ratings
        self.positives += other.positives
