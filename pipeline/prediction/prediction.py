"""Predictions for raw shards, in batches and in order."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from components.example_gen.ingest import RejectedRecord, read_shard
from components.example_gen.input_files import InputFiles
from components.example_gen.packing import PackedVideo
from models.features import Level
from models.metrics.outcomes import best_labels
from models.metrics.video_metrics import VideoMetrics
from pipeline.prediction.pushed_model import PushedModel


@dataclass(frozen=True)
class Answer:
    """A video's best labels and their probabilities, best first; of equal ones, lower ids come first."""

    id: bytes
    labels: list[int]
    scores: list[float]


@dataclass(frozen=True)
class _Record:
    """A packed record with its labels, file and number."""

    video: PackedVideo
    labels: list[int]
    file: str
    number: int

    def rejected(self, reason: str) -> RejectedRecord:
        return RejectedRecord(self.file, self.number, reason)


class Prediction:
    """Predicts labels for all records of some shards; reports and skips records that cannot be used.

    Holds one batch in memory, whatever the number of records.

    Args:
        model: predicts.
        files: raw shards.
        level: of the records, as the model was loaded for.
        batch_size: videos in a batch.
        top: labels for each video; all of them if there are fewer.
        metrics: scores the videos with labels; records with labels that the model does not know are then rejected.
        report: called with each rejected record.
        progress: called with the bytes read so far, at least once for each record.

    Attributes:
        videos: answered so far.
        without_labels: of these, those without labels.
        rejected: number of rejected records.
    """

    def __init__(
        self,
        model: PushedModel,
        files: InputFiles,
        level: Level,
        batch_size: int,
        top: int,
        metrics: VideoMetrics | None = None,
        report: Callable[[RejectedRecord], None] = lambda rejected: None,
        progress: Callable[[int], None] = lambda done: None,
    ) -> None:
        self._model, self._files, self._level = model, files, level
        self._batch_size, self._top, self._metrics = batch_size, top, metrics
        self._report, self._progress = report, progress
        self.videos = self.without_labels = self.rejected = 0

    def answers(self) -> Iterator[Answer]:
        """Yields predictions in the order of the file names and of the records in each file."""
        records = self._read()
        while batch := list(islice(records, self._batch_size)):
            probabilities = self._model.probabilities([record.video.example for record in batch])
            # Computations may overflow.
            valid = ~np.isnan(probabilities).any(axis=1)
            for place in np.flatnonzero(~valid):
                self._reject(batch[place].rejected("the model's answer is not a number"))
            batch, probabilities = [batch[place] for place in np.flatnonzero(valid)], probabilities[valid]
            self.videos += len(batch)
            if self._metrics:
                self._count(self._metrics, batch, probabilities)
            best = best_labels(probabilities, self._top)
            scores = np.take_along_axis(probabilities, best, axis=1)
            for record, *answer in zip(batch, best.tolist(), scores.tolist(), strict=True):
                yield Answer(record.video.id, *answer)

    def _read(self) -> Iterator[_Record]:
        read, classes = 0, len(self._model.names)
        for file in self._files.files:
            done = read
            for number, video in enumerate(read_shard(file, self._level, None)):
                if isinstance(video, RejectedRecord):
                    self._reject(video)
                    continue
                record = _Record(video, list(video.labels) if self._metrics else [], file.path, number)
                unknown = [label for label in record.labels if not 0 <= label < classes]
                if unknown:
                    reason = f"label {unknown[0]} is unknown to the model, expected 0 to {classes - 1}"
                    self._reject(record.rejected(reason))
                    continue
                yield record
                done = min(done + len(video.example), read + file.size)  # a compressed file holds more
                self._progress(done)
            read += file.size
            self._progress(read)

    def _reject(self, rejected: RejectedRecord) -> None:
        self.rejected += 1
        self._report(rejected)

    def _count(self, metrics: VideoMetrics, batch: Sequence[_Record], probabilities: np.ndarray) -> None:
        truth = np.zeros(probabilities.shape, bool)
        for row, record in zip(truth, batch, strict=True):
            row[record.labels] = True
        labelled = truth.any(axis=1)
        self.without_labels += int(np.count_nonzero(~labelled))
        ids = [record.video.id for record in batch if record.labels]
        metrics.update(probabilities[labelled], truth[labelled], ids)
