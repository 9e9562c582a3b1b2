"""Counts over the videos of a split; memory grows with the number of labels, not with that of videos."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from tensorflow.core.example import example_pb2

from components.dataset_statistics.moments import CodeMoments, MeanMoments
from components.dataset_statistics.segments import SegmentCounts
from models.features import (
    AUDIO,
    AUDIO_WIDTH,
    LABELS,
    MAX_FRAMES,
    MEAN_AUDIO,
    MEAN_RGB,
    RGB,
    RGB_WIDTH,
    Level,
)

# Pairs that are counted at once: 1 MB. More would be no faster.
WAITING_PAIRS = 2**17


class SplitCounts:
    """Counts of packed videos, see `components.example_gen.packing`.

    Counts don't depend on how videos are grouped before they are merged (video-level moments up to rounding).

    Args:
        level: of the videos.
        classes: size of the vocabulary, C.

    Attributes:
        videos: number of videos.
        label_frequency: int64 [C], videos with each label.
        labels_a_video: int64 [C + 1], videos by number of labels.
        frames_a_video: int64 [301], videos by number of frames; all 0 at the video level.
        pairs: counts of pairs of labels.
        moments: of the features, over frames or videos.
        segments: counts of segments and their ratings.
    """

    def __init__(self, level: Level, classes: int):
        self.level = level
        self.videos = 0
        self.label_frequency = np.zeros(classes, np.int64)
        self.labels_a_video = np.zeros(classes + 1, np.int64)
        self.frames_a_video = np.zeros(MAX_FRAMES + 1, np.int64)
        self.pairs = PairCounts(classes)
        self.moments: Any = CodeMoments() if level == "frame" else MeanMoments()
        self.segments = SegmentCounts(classes)

    def add(self, example: bytes) -> None:
        """Counts one packed tf.Example, whose labels are sorted and distinct."""
        features = example_pb2.Example.FromString(example).features.feature
        labels = np.array(features[LABELS].int64_list.value, np.int64)
        self.videos += 1
        self.label_frequency[labels] += 1
        self.labels_a_video[len(labels)] += 1
        self.pairs.add(labels)
        if self.level == "video":
            self.moments.add(*(np.array(features[key].float_list.value, np.float32) for key in (MEAN_RGB, MEAN_AUDIO)))
            return
        rgb, audio = (
            np.frombuffer(features[key].bytes_list.value[0], np.uint8).reshape(-1, width)
            for key, width in ((RGB, RGB_WIDTH), (AUDIO, AUDIO_WIDTH))
        )
        self.frames_a_video[len(rgb)] += 1
        self.moments.add(rgb, audio)
        self.segments.add(features)

    def merge(self, other: "SplitCounts") -> "SplitCounts":
        """Adds the videos that `other` counted."""
        self.videos += other.videos
        self.label_frequency += other.label_frequency
        self.labels_a_video += other.labels_a_video
        self.frames_a_video += other.frames_a_video
        self.pairs.merge(other.pairs)
        self.moments.merge(other.moments)
        self.segments.merge(other.segments)
        return self


class PairCounts:
    """Videos by pair of their labels: 16 bytes for each pair that occurs (120 MB for all pairs of 3862 labels).

    Args:
        classes: size of the vocabulary, C. The pair of i < j has the key i * C + j.
    """

    def __init__(self, classes: int):
        self.classes = classes
        self._keys = np.empty(0, np.int64)
        self._counts = np.empty(0, np.int64)
        self._waiting: list[NDArray[np.int64]] = []
        self._number_waiting = 0

    def add(self, labels: NDArray[np.int64]) -> None:
        """Counts the pairs of a video's labels: int64, ascending, distinct."""
        for place, label in enumerate(labels[:-1], start=1):
            self._waiting.append(label * self.classes + labels[place:])
            self._number_waiting += len(labels) - place
            if self._number_waiting >= WAITING_PAIRS:
                self._count_waiting()

    def merge(self, other: "PairCounts") -> None:
        """Adds the pairs that `other` counted."""
        other._count_waiting()
        self._add_counts(other._keys, other._counts)

    def top(self, number: int) -> list[tuple[int, int, int]]:
        """The most frequent pairs: both labels, the lower first, and their videos; ties in order of labels."""
        self._count_waiting()
        order = np.lexsort((self._keys, -self._counts))[:number]
        return [
            (*divmod(key, self.classes), count)
            for key, count in zip(self._keys[order].tolist(), self._counts[order].tolist(), strict=True)
        ]

    @property
    def distinct(self) -> int:
        """Number of pairs that occur."""
        self._count_waiting()
        return len(self._keys)

    def _count_waiting(self) -> None:
        if self._waiting:
            keys, counts = np.unique(np.concatenate(self._waiting), return_counts=True)
            self._waiting, self._number_waiting = [], 0
            self._add_counts(keys, counts)

    def _add_counts(self, keys: NDArray[np.int64], counts: NDArray[np.int64]) -> None:
        keys, counts = np.concatenate([self._keys, keys]), np.concatenate([self._counts, counts])
        order = np.argsort(keys, kind="stable")  # merges two sorted runs in linear time
        self._keys, first = np.unique(keys[order], return_index=True)
        self._counts = np.add.reduceat(counts[order], first) if len(first) else self._counts
