"""Scores of a model on records with labels, as data and as a table."""

from dataclasses import dataclass

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from models.errors import plural
from models.metrics.bootstrap import interval
from models.metrics.map_at_k import MapAtK
from models.metrics.video_metrics import VideoMetrics


@dataclass(frozen=True)
class Scores:
    """Results of `VideoMetrics`.

    Attributes:
        evaluated: videos with labels.
        without_labels: videos without labels.
        scores: by name.
        intervals: 95 % intervals of F1, GAP, Hit@1 and, where the model has a threshold, F1 at it.
    """

    evaluated: int
    without_labels: int
    scores: dict[str, float]
    intervals: dict[str, tuple[float, float]]

    @classmethod
    def of(cls, metrics: VideoMetrics, without_labels: int, threshold: float | None) -> "Scores":
        """Computes the scores; with a threshold, also `f1_at_threshold`."""
        intervals = {name: interval(values) for name, values in metrics.replicates().items()}
        return cls(metrics.videos, without_labels, metrics.scores(threshold), intervals)

    def print(self, console: Console) -> None:
        """Prints a table."""
        left_out = f", {self.without_labels:,} without labels left out" if self.without_labels else ""
        title = plural(self.evaluated, "video") + left_out
        table = Table("score", "value", "95 % of replicates", title=title, box=SIMPLE)
        for name, value in self.scores.items():
            low_and_high = self.intervals.get(name)
            table.add_row(name, f"{value:.4f}", "{:.4f} to {:.4f}".format(*low_and_high) if low_and_high else "")
        console.print(table)


@dataclass(frozen=True)
class SegmentScores:
    """Results of `MapAtK`.

    Attributes:
        ratings: that were scored.
        positives: of these, those by which the label holds in the segment.
        scores: by name.
    """

    ratings: int
    positives: int
    scores: dict[str, float]

    @classmethod
    def of(cls, metrics: MapAtK) -> "SegmentScores":
        """Computes the scores."""
        return cls(int(metrics.ratings.sum()), int(metrics.positives.sum()), metrics.means())

    def print(self, console: Console) -> None:
        """Prints a table."""
        title = f"{plural(self.ratings, 'rating')}, {self.positives:,} positive"
        table = Table("score", "value", title=title, box=SIMPLE)
        for name, value in self.scores.items():
            table.add_row(name, f"{value:.4f}")
        console.print(table)
