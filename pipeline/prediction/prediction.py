"""Predictions for raw shards, in batches and in order."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from models.errors import InputError
from models.metrics.outcomes import best_labels
from models.metrics.video_metrics import VideoMetrics
from pipeline.prediction.pushed_model import PushedModel
from pipeline.prediction.records import Record, Records
from pipeline.prediction.scores import Scores


@dataclass(frozen=True)
class Answer:
    """A video's best labels and their probabilities, best first; of equal ones, lower ids come first."""

    id: bytes
    labels: list[int]
    scores: list[float]


class Prediction:
    """Predicts labels for all records of some shards; reports and skips records that cannot be used.

    Holds one batch in memory, whatever the number of records.

    Args:
        model: predicts.
        records: to predict for, of the level that the model was loaded for.
        batch_size: videos in a batch.
        top: labels for each video; all of them if there are fewer.
        metrics: scores the videos with labels; records with labels that the model does not know are then rejected.

    Attributes:
        videos: answered so far.
        without_labels: of these, those without labels.
    """

    def __init__(
        self,
        model: PushedModel,
        records: Records,
        batch_size: int,
        top: int,
        metrics: VideoMetrics | None = None,
    ) -> None:
        self._model, self._records = model, records
        self._batch_size, self._top, self._metrics = batch_size, top, metrics
        self.videos = self.without_labels = 0

    def answers(self) -> Iterator[Answer]:
        """Yields predictions in the order of the file names and of the records in each file."""
        records = self._known()
        while batch := list(islice(records, self._batch_size)):
            probabilities = self._model.probabilities([record.video.example for record in batch])
            # Computations may overflow.
            valid = ~np.isnan(probabilities).any(axis=1)
            for place in np.flatnonzero(~valid):
                self._records.reject(batch[place].rejected("the model's answer is not a number"))
            batch, probabilities = [batch[place] for place in np.flatnonzero(valid)], probabilities[valid]
            self.videos += len(batch)
            if self._metrics:
                self._count(self._metrics, batch, probabilities)
            best = best_labels(probabilities, self._top)
            scores = np.take_along_axis(probabilities, best, axis=1)
            for record, *answer in zip(batch, best.tolist(), scores.tolist(), strict=True):
                yield Answer(record.video.id, *answer)

    def scores(self) -> Scores:
        """The scores of the answers.

        Raises:
            InputError: no video has labels.
        """
        assert self._metrics
        if not self._metrics.videos:
            raise InputError(f"--evaluate: no video carries labels ({self.videos:,} read)")
        return Scores.of(self._metrics, self.without_labels, self._model.card.threshold)

    def _known(self) -> Iterator[Record]:
        """The records, without those whose labels cannot be scored."""
        classes = len(self._model.names)
        for record in self._records:
            unknown = [label for label in record.video.labels if not 0 <= label < classes] if self._metrics else []
            if unknown:
                reason = f"label {unknown[0]} is unknown to the model, expected 0 to {classes - 1}"
                self._records.reject(record.rejected(reason))
                continue
            yield record

    def _count(self, metrics: VideoMetrics, batch: Sequence[Record], probabilities: np.ndarray) -> None:
        truth = np.zeros(probabilities.shape, bool)
        for row, record in zip(truth, batch, strict=True):
            row[list(record.video.labels)] = True
        labelled = truth.any(axis=1)
        self.without_labels += int(np.count_nonzero(~labelled))
        ids = [record.video.id for record in batch if record.video.labels]
        metrics.update(probabilities[labelled], truth[labelled], ids)
