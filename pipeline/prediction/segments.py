"""Predictions for the segments of raw records, in order."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from tensorflow.core.example import example_pb2

from models.errors import InputError, plural
from models.features import (
    AUDIO,
    AUDIO_WIDTH,
    RGB,
    RGB_WIDTH,
    SEGMENT_FRAMES,
    SEGMENT_LABELS,
    SEGMENT_SCORES,
    SEGMENT_STARTS,
)
from models.metrics.map_at_k import MapAtK
from pipeline.prediction.pushed_model import PushedModel
from pipeline.prediction.records import Record, Records
from pipeline.prediction.scores import SegmentScores


@dataclass(frozen=True)
class Segments:
    """The segments of a video: those that its record lists, else one every five seconds.

    Attributes:
        record: of the video.
        starts: first frames, ascending.
        frames: uint8, [segments, 5, 1152].
        rated: for each rating the place of its segment, its label, and whether the label holds.
    """

    record: Record
    starts: list[int]
    frames: np.ndarray
    rated: tuple[np.ndarray, np.ndarray, np.ndarray]

    @classmethod
    def of(cls, record: Record, all_seconds: bool = False) -> "Segments":
        """Reads the segments of a packed record; with `all_seconds` also those that its record does not list."""
        features = example_pb2.Example.FromString(record.video.example).features.feature
        frames = np.concatenate(
            [
                np.frombuffer(features[name].bytes_list.value[0], np.uint8).reshape(-1, width)
                for name, width in ((RGB, RGB_WIDTH), (AUDIO, AUDIO_WIDTH))
            ],
            axis=1,
        )
        listed = features[SEGMENT_STARTS].int64_list.value
        every = range(0, len(frames) - SEGMENT_FRAMES + 1, SEGMENT_FRAMES)
        starts = sorted({*listed, *every} if all_seconds else set(listed)) or list(every)
        labels = np.array(features[SEGMENT_LABELS].int64_list.value, np.int64)
        holds = np.array(features[SEGMENT_SCORES].float_list.value) > 0
        rows = np.searchsorted(starts, listed[: len(labels)])
        of_segments = np.array(starts, int)[:, None] + np.arange(SEGMENT_FRAMES)
        return cls(record, starts, frames[of_segments], (rows, labels, holds))


@dataclass(frozen=True)
class SegmentAnswer:
    """The probabilities of the labels in the segments of a video: float32, [segments, labels]."""

    record: Record
    starts: list[int]
    probabilities: np.ndarray

    @property
    def id(self) -> bytes:
        """The id of the video."""
        return self.record.video.id


class SegmentPrediction:
    """Predicts labels for the segments of all records; reports and skips records that cannot be used.

    Holds the segments of one batch and of one video in memory, whatever the number of records.

    Args:
        model: predicts; each segment is given to it as a video of five frames.
        records: to predict for, of the frame level.
        batch_size: segments in a batch.
        metrics: scores the rated segments; records with ratings of labels that the model does not know are then
            rejected.
        video_model: of the same labels; the scores of a segment are multiplied by those of its whole video, which this
            model predicts: a label that the video does not have is in none of its segments.

    Attributes:
        videos: answered so far.
        segments: of these videos.
    """

    def __init__(
        self,
        model: PushedModel,
        records: Records,
        batch_size: int,
        metrics: MapAtK | None = None,
        video_model: PushedModel | None = None,
    ) -> None:
        self._model, self._records, self._batch_size, self._metrics = model, records, batch_size, metrics
        self._video_model = video_model
        self.videos = self.segments = 0

    def answers(self) -> Iterator[SegmentAnswer]:
        """Yields predictions in the order of the records."""
        waiting: list[Segments] = []
        for record in self._records:
            for rating in record.video.rejected_ratings:
                self._records.reject(record.rejected(f"rating {rating.number}: {rating.reason}"))
            segments = Segments.of(record)
            if not self._can_be_scored(segments):
                continue
            waiting.append(segments)
            if sum(len(some.starts) for some in waiting) >= self._batch_size:
                yield from self._predict(waiting)
                waiting = []
        yield from self._predict(waiting)

    def scores(self) -> SegmentScores:
        """The scores of the answers.

        Raises:
            InputError: no segment has a rating.
        """
        assert self._metrics
        if not self._metrics.ratings.any():
            read = f"{plural(self.segments, 'segment')} of {plural(self.videos, 'video')}"
            raise InputError(f"--evaluate: no segment has a rating ({read} read)")
        return SegmentScores.of(self._metrics)

    def _can_be_scored(self, segments: Segments) -> bool:
        labels, classes = segments.rated[1], len(self._model.names)
        unknown = labels[(labels < 0) | (labels >= classes)] if self._metrics else labels[:0]
        if unknown.size:
            reason = f"rated label {unknown[0]} is unknown to the model, expected 0 to {classes - 1}"
            self._records.reject(segments.record.rejected(reason))
        return not unknown.size

    def _predict(self, videos: list[Segments]) -> Iterator[SegmentAnswer]:
        if not videos:
            return
        lengths = [len(video.starts) for video in videos]
        ends = np.cumsum(lengths)
        for video, of_video in zip(videos, np.split(self.probabilities(videos), ends[:-1]), strict=True):
            if np.isnan(of_video).any():  # computations may overflow
                self._records.reject(video.record.rejected("the model's answer is not a number"))
                continue
            self.videos += 1
            self.segments += len(video.starts)
            if self._metrics:
                rows, labels, holds = video.rated
                self._metrics.add(of_video[rows, labels], holds, labels)
            yield SegmentAnswer(video.record, video.starts, of_video)

    def probabilities(self, videos: list[Segments]) -> np.ndarray:
        """Of the labels in the segments of videos, one after another: float32 [segments, labels]."""
        frames = np.concatenate([video.frames for video in videos])
        batches = [frames[first : first + self._batch_size] for first in range(0, len(frames), self._batch_size)]
        empty = np.zeros((0, len(self._model.names)), np.float32)
        probabilities = np.concatenate([empty, *(self._model.segment_probabilities(batch) for batch in batches)])
        if self._video_model:
            whole = self._video_model.probabilities([video.record.video.example for video in videos])
            probabilities *= np.repeat(whole, [len(video.starts) for video in videos], axis=0)
        return probabilities
