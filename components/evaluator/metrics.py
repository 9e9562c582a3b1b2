"""All scores as one TFMA metric: one vectorised pass over the labels of a video.

TFMA's own metrics binarize by class, which is slow with thousands of classes.
"""

import gzip
import io
import pickle
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.metrics import metric_types

from components.evaluator.details import Details
from components.evaluator.outcomes import OutcomesOf
from models.metrics.bootstrap import REPLICATES
from models.metrics.findings import Findings
from models.metrics.outcomes import Outcomes
from models.metrics.video_metrics import VideoMetrics, score_names

# Videos counted at once; TFMA passes them one by one. With more, NumPy's products start threads, which take longer than
# the products where other processes use the cores too.
BATCH = 16

DETAILS = "details"


class Accumulator:
    """Counts of one model on the videos of a slice; compressed unless videos are being added."""

    def __init__(self, classes: int, threshold: float, rated: bool = False) -> None:
        metrics = VideoMetrics(classes, REPLICATES, threshold, rated)
        self._counts: tuple[VideoMetrics, Findings] | None = metrics, Findings()
        self._packed = b""
        self._waiting: list[Outcomes] = []

    def add(self, video: Outcomes) -> None:
        """Counts a video."""
        self._waiting.append(video)
        if len(self._waiting) == BATCH:
            self._count_waiting()

    def merge(self, other: "Accumulator") -> None:
        """Adds the videos that `other` counted."""
        (metrics, findings), (other_metrics, other_findings) = self._count_waiting(), other.counts()
        metrics.merge(other_metrics)
        findings.merge(other_findings)

    def counts(self) -> tuple[VideoMetrics, Findings]:
        """The counts of all videos so far."""
        return _unpack(self._packed) if self._packed and not self._waiting else self._count_waiting()

    def pack(self) -> "Accumulator":
        """Compresses the counts: for 23,000 videos from 5 MB to 1.5."""
        if not self._packed or self._waiting:
            content = io.BytesIO()
            with gzip.GzipFile(fileobj=content, mode="wb", compresslevel=1) as file:
                # Protocol 5 writes and reads arrays without a copy.
                pickle.dump(self._count_waiting(), file, protocol=5)
            self._packed, self._counts = content.getvalue(), None
        return self

    def __getstate__(self) -> dict[str, object]:
        return self.pack().__dict__

    def _count_waiting(self) -> tuple[VideoMetrics, Findings]:
        if self._counts is None:
            self._counts, self._packed = _unpack(self._packed), b""
        if self._waiting:
            outcomes = Outcomes.join(self._waiting)
            for counts in self._counts:
                counts.count(outcomes)
            self._waiting = []
        return self._counts


def _unpack(content: bytes) -> tuple[VideoMetrics, Findings]:
    with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
        return pickle.load(file)


class _CountVideos(beam.CombineFn):
    def __init__(
        self,
        classes: int,
        threshold: float,
        groups: Mapping[str, Sequence[int]],
        rated: bool,
        keys: Mapping[str, metric_types.MetricKey],
    ):
        self.classes, self.threshold, self.groups, self.rated, self.keys = classes, threshold, groups, rated, keys

    def create_accumulator(self) -> Accumulator:
        return Accumulator(self.classes, self.threshold, self.rated)

    def add_input(self, accumulator: Accumulator, video: Outcomes) -> Accumulator:
        accumulator.add(video)
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[Accumulator]) -> Accumulator:
        merged, *others = accumulators
        for accumulator in others:
            merged.merge(accumulator)
        return merged.pack()

    def compact(self, accumulator: Accumulator) -> Accumulator:
        # Beam holds the accumulators of all slices at once, before and after it sends them.
        return accumulator.pack()

    def extract_output(self, accumulator: Accumulator) -> dict[metric_types.MetricKey, Any]:
        metrics, findings = accumulator.counts()
        scores: dict[str, Any] = dict(metrics.scores(self.threshold))
        scores |= {f"f1/{group}": metrics.f1_of(np.array(labels, int)) for group, labels in self.groups.items()}
        scores[DETAILS] = Details.of(metrics, findings, self.threshold).to_bytes()
        return {self.keys[name]: value for name, value in scores.items()}


class VideoScores(tfma.metrics.Metric):
    """The scores of `VideoMetrics`, F1 by group of labels, and their `Details`.

    Args:
        classes: number of labels.
        threshold: of `f1_at_threshold`.
        groups: label ids by the group's name; a group's score is called `f1/<name>`.
        rated: whether the videos are rated segments.
        name: TFMA's; not used.
    """

    def __init__(
        self,
        classes: int,
        threshold: float,
        groups: Mapping[str, Sequence[int]] | None = None,
        rated: bool = False,
        name: str = "",
    ):
        groups = dict(groups or {})

        def computations(model_names: Sequence[str] = ("",), **_: Any) -> metric_types.MetricComputations:
            computed = []
            for model in model_names:
                keys = {
                    # Without example_weighted=None TFMA doesn't match thresholds with these names.
                    key: metric_types.MetricKey(name=key, model_name=model, example_weighted=None)
                    for key in (*score_names(rated), *(f"f1/{group}" for group in groups), DETAILS)
                }
                combiner = _CountVideos(classes, threshold, groups, rated, keys)
                computed.append(metric_types.MetricComputation(list(keys.values()), [OutcomesOf(model)], combiner))
            return computed

        settings = {"classes": classes, "threshold": threshold, "groups": groups, "rated": rated}
        super().__init__(computations, name=name or "video_scores", **settings)


metric_types.register_metric(VideoScores)
