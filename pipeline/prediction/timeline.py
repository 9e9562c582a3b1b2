"""A page with the labels of videos against time."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from components.example_gen.synthetic import SyntheticData
from components.pages import page_templates
from models.errors import InputError, quote
from models.features import SEGMENT_FRAMES
from models.metrics.outcomes import THRESHOLD, best_labels
from pipeline.prediction.output import text_of
from pipeline.prediction.pushed_model import PushedModel
from pipeline.prediction.records import Record
from pipeline.prediction.segments import SegmentAnswer, SegmentPrediction, Segments

PAGE = "timeline.html"

# Videos that are shown where none are chosen.
MOST_SHOWN = 12

# Labels of a video that are shown, besides the rated ones.
SHOWN_LABELS = 10


@dataclass(frozen=True)
class Cell:
    """A label in a segment.

    Attributes:
        score: of the label.
        holds: by the rating; None without one.
        right: whether the model says the same at its threshold.
    """

    score: float
    holds: bool | None
    right: bool


@dataclass(frozen=True)
class Timeline:
    """The scores of a video's labels in its segments.

    Attributes:
        id: of the video.
        seconds: where the segments begin.
        rows: name of a label, and a cell for each segment; rated labels first, then those with the highest scores.
    """

    id: str
    seconds: list[int]
    rows: list[tuple[str, list[Cell]]]

    @classmethod
    def of(cls, segments: Segments, probabilities: np.ndarray, names: Sequence[str], threshold: float) -> "Timeline":
        """The timeline of a video.

        Args:
            segments: of the video.
            probabilities: float32 [segments, labels].
            names: of all labels.
            threshold: a label is predicted above it.
        """
        ratings = {
            (label, row): bool(holds)
            for row, label, holds in zip(*(values.tolist() for values in segments.rated), strict=True)
        }
        best = best_labels(probabilities.max(axis=0, keepdims=True, initial=0), SHOWN_LABELS)[0].tolist()
        rows = []
        for label in dict.fromkeys([*sorted({label for label, _ in ratings}), *best]):
            cells = []
            for row, score in enumerate(probabilities[:, label].tolist()):
                holds = ratings.get((label, row))
                cells.append(Cell(score, holds, holds is not None and (score > threshold) == holds))
            rows.append((names[label], cells))
        return cls(text_of(segments.record.video.id), segments.starts, rows)


class Timelines:
    """Collects videos while they are predicted, and shows them on a page.

    Args:
        prediction: that predicts them.
        model: its model.
        ids: of the videos to show; empty: the first MOST_SHOWN.
    """

    def __init__(self, prediction: SegmentPrediction, model: PushedModel, ids: Sequence[str]) -> None:
        self._prediction, self._model, self._ids = prediction, model, frozenset(ids)
        self._records: dict[str, Record] = {}

    def watch(self, answers: Iterable[SegmentAnswer]) -> Iterator[SegmentAnswer]:
        """The answers, unchanged."""
        for answer in answers:
            video_id = text_of(answer.id)
            if video_id in self._ids if self._ids else len(self._records) < MOST_SHOWN:
                self._records.setdefault(video_id, answer.record)
            yield answer

    def page(self, synthetic: SyntheticData | None) -> str:
        """The page as HTML, of the whole length of the videos.

        Args:
            synthetic: where the videos are.

        Raises:
            InputError: a video to show was not among the answers.
        """
        if missing := sorted(self._ids - set(self._records)):
            raise InputError(f"--show is {quote(missing[0])}: no video of this id was answered")
        threshold = THRESHOLD if self._model.card.threshold is None else self._model.card.threshold
        timelines = []
        for record in self._records.values():
            segments = Segments.of(record, all_seconds=True)
            probabilities = self._prediction.probabilities([segments])
            timelines.append(Timeline.of(segments, probabilities, self._model.names, threshold))
        return (
            page_templates(Path(__file__).parent)
            .get_template(PAGE)
            .render(
                subject=self._model.card.experiment or self._model.folder,
                synthetic=synthetic,
                navigation=None,
                page="",
                timelines=timelines,
                threshold=threshold,
                length=SEGMENT_FRAMES,
            )
        )
