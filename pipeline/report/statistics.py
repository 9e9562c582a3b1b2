"""The page about the data: what the ingest kept, cut and refused, and what TFDV counted in each split."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import statistics_pb2

from components.example_gen.component import read_summary
from components.example_gen.splits import SPLITS
from models.features import LABELS, MAX_FRAMES, NUM_FRAMES


@dataclass(frozen=True)
class LabelCount:
    """A label and in how many videos of a split, and in which share of them, it occurs."""

    name: str
    videos: int
    share: float


@dataclass(frozen=True)
class FrameCounts:
    """Frames a video."""

    least: int
    mean: float
    most: int


@dataclass(frozen=True)
class SplitStatistics:
    """Counts of a split; `frames` is None at the video level."""

    name: str
    videos: int
    labels_a_video: float
    distinct_labels: int
    frequent: list[LabelCount]
    frames: FrameCounts | None


def statistics(statistics_uri: str, quarantine_uri: str, names: Sequence[str]) -> dict[str, Any]:
    """The variables of statistics.html.

    Args:
        statistics_uri: StatisticsGen's artifact, made with the schema: TFDV counts labels only if told that they are
            categories.
        quarantine_uri: ExampleGen's.
        names: label names in the order of their ids.
    """
    return {
        "statistics": [read_statistics(statistics_uri, split, names) for split in SPLITS],
        "ingest": read_summary(quarantine_uri),
        "quarantine_uri": quarantine_uri,
        "max_frames": MAX_FRAMES,
        "classes": len(names),
    }


def read_statistics(uri: str, split: str, names: Sequence[str]) -> SplitStatistics:
    """What TFDV counted in a split."""
    [dataset] = tfdv.load_stats_binary(f"{uri}/Split-{split}/FeatureStats.pb").datasets
    features = {feature.path.step[0]: feature for feature in dataset.features}
    assert features[LABELS].WhichOneof("stats") == "string_stats", "the statistics were made without the schema"
    labels = features[LABELS].string_stats
    videos = dataset.num_examples
    frequent = [
        LabelCount(names[int(top.value)], int(top.frequency), top.frequency / videos) for top in labels.top_values
    ]
    return SplitStatistics(
        name=split,
        videos=videos,
        labels_a_video=labels.common_stats.tot_num_values / videos,
        distinct_labels=labels.unique,
        frequent=frequent,
        frames=_frames(features[NUM_FRAMES].num_stats) if NUM_FRAMES in features else None,
    )


def _frames(found: statistics_pb2.NumericStatistics) -> FrameCounts:
    return FrameCounts(int(found.min), found.mean, int(found.max))
