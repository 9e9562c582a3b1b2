"""Raw shards through a model, a batch at a time, in their order."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from tensorflow.core.example.example_pb2 import Example

from components.example_gen.ingest import RejectedRecord, read_shard
from components.example_gen.input_files import InputFiles
from components.example_gen.packing import PackedVideo
from models.features import LABELS, Level
from models.metrics.video_metrics import VideoMetrics, best_labels
from pipeline.prediction.pushed_model import PushedModel


@dataclass(frozen=True)
class Answer:
    """A video's best labels and their probabilities, best first; of equal ones, lower ids come first."""

    id: bytes
    labels: list[int]
    scores: list[float]


@dataclass(frozen=True)
class _Record:
    """A packed record, the labels that it carries, and where it lies."""

    video: PackedVideo
    labels: list[int]
    file: str
    number: int

    def refused(self, reason: str) -> RejectedRecord:
        return RejectedRecord(self.file, self.number, reason)


class Prediction:
    """Answers all records of some shards; what cannot be used is reported and left out.

    Memory doesn't depend on the number of records: one batch is held.

    Args:
        model: to ask.
        files: raw shards.
        level: of the records, the same as the model was told.
        batch_size: videos asked for at once.
        top: labels of an answer, all of them if there are fewer.
        metrics: counts the videos that carry labels; their labels must be the model's then.
        refuse: called with each record that cannot be used.
        progress: called with the bytes read so far, at least once a record.

    Attributes:
        videos: answered so far.
        without_labels: of these, those that `metrics` could not count.
        skipped: records that could not be used.
    """

    def __init__(
        self,
        model: PushedModel,
        files: InputFiles,
        level: Level,
        batch_size: int,
        top: int,
        metrics: VideoMetrics | None = None,
        refuse: Callable[[RejectedRecord], None] = lambda refused: None,
        progress: Callable[[int], None] = lambda done: None,
    ) -> None:
        self._model, self._files, self._level = model, files, level
        self._batch_size, self._top, self._metrics = batch_size, top, metrics
        self._report, self._progress = refuse, progress
        self.videos = self.without_labels = self.skipped = 0

    def answers(self) -> Iterator[Answer]:
        """Yields the answers in the order of the files' names and of the records in them."""
        records = self._read()
        while batch := list(islice(records, self._batch_size)):
            probabilities = self._model.probabilities([record.video.example for record in batch])
            # A network's weights may overflow.
            numbers = ~np.isnan(probabilities).any(axis=1)
            for place in np.flatnonzero(~numbers):
                self._refuse(batch[place].refused("the model's answer is not a number"))
            batch, probabilities = [batch[place] for place in np.flatnonzero(numbers)], probabilities[numbers]
            self.videos += len(batch)
            if self._metrics:
                self._count(self._metrics, batch, probabilities)
            best = best_labels(probabilities, self._top)
            scores = np.take_along_axis(probabilities, best, axis=1)
            for record, *answer in zip(batch, best.tolist(), scores.tolist(), strict=True):
                yield Answer(record.video.id, *answer)

    def _read(self) -> Iterator[_Record]:
        before, classes = 0, len(self._model.names)
        for file in self._files.files:
            done = before
            for number, video in enumerate(read_shard(file, self._level, None)):
                if isinstance(video, RejectedRecord):
                    self._refuse(video)
                    continue
                record = _Record(video, _labels(video) if self._metrics else [], file.path, number)
                wrong = [label for label in record.labels if not 0 <= label < classes]
                if wrong:
                    reason = f"label {wrong[0]} is none of the model's, expected 0 to {classes - 1}"
                    self._refuse(record.refused(reason))
                    continue
                yield record
                done = min(done + len(video.example), before + file.size)  # a compressed file holds more
                self._progress(done)
            before += file.size
            self._progress(before)

    def _refuse(self, refused: RejectedRecord) -> None:
        self.skipped += 1
        self._report(refused)

    def _count(self, metrics: VideoMetrics, batch: Sequence[_Record], probabilities: np.ndarray) -> None:
        truth = np.zeros(probabilities.shape, bool)
        for row, record in zip(truth, batch, strict=True):
            row[record.labels] = True
        labelled = truth.any(axis=1)
        self.without_labels += int(np.count_nonzero(~labelled))
        ids = [record.video.id for record in batch if record.labels]
        metrics.update(probabilities[labelled], truth[labelled], ids)


def _labels(video: PackedVideo) -> list[int]:
    return list(Example.FromString(video.example).features.feature[LABELS].int64_list.value)
