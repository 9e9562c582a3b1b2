"""`statistics.json`: all counts of a data set, with the names of labels."""

from collections.abc import Mapping, Sequence

import numpy as np
from apache_beam.io.filesystems import FileSystems
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from components.dataset_statistics.agreement import Agreement, agreement
from components.dataset_statistics.counts import SplitCounts
from components.dataset_statistics.segments import SegmentCounts
from components.example_gen.ingest import Summary
from components.example_gen.synthetic import SyntheticData
from components.publishing import write_whole
from models.errors import InputError, printable
from models.features import Level

STATISTICS = "statistics.json"

MOST_FREQUENT = 20
TOP_PAIRS = 50


class LabelCount(BaseModel, frozen=True):
    """A label and how many videos of a split have it."""

    id: int
    name: str
    videos: int


class Extreme(BaseModel, frozen=True):
    """The largest or smallest number of videos that a label has, and the labels that have it."""

    videos: int
    labels: tuple[str, ...]


class LabelPair(BaseModel, frozen=True):
    """Two labels and how many videos of a split have both."""

    ids: tuple[int, int]
    names: tuple[str, str]
    videos: int


class Distribution(BaseModel, frozen=True):
    """Distribution of a number over the videos; `counts[n]` videos have n."""

    mean: float
    least: int
    median: int
    most: int
    counts: tuple[int, ...]


class Features(BaseModel, frozen=True):
    """Mean and variance of the dequantized features: 1024 of rgb, then 128 of audio."""

    mean: tuple[float, ...]
    variance: tuple[float, ...]


class LabelRatings(BaseModel, frozen=True):
    """A label, how many of a split's ratings are of it, and how many of these say that it holds in the segment."""

    id: int
    name: str
    ratings: int
    positives: int


class Segments(BaseModel, frozen=True):
    """Segments of a split and their ratings; `ratings[l]` ratings are of the label l, `positives[l]` say that it holds.

    A label of a segment that has no rating is unknown, not absent.
    """

    segments_a_video: Distribution
    rated_segments: int
    most_rated: tuple[LabelRatings, ...]
    ratings: tuple[int, ...]
    positives: tuple[int, ...]


class SplitStatistics(BaseModel, frozen=True):
    """Statistics of a split; distributions and features are None where it has no videos, `segments` where it has none.

    `label_frequency[l]` videos have the label l; `min_frequency` is 0 where labels are absent. `features` are over the
    frames of all videos at the frame level, and over the videos at the video level, which has no `frames_a_video`.
    """

    videos: int
    max_frequency: Extreme
    min_frequency: Extreme
    absent_labels: tuple[str, ...]
    labels_a_video: Distribution | None
    frames_a_video: Distribution | None
    most_frequent: tuple[LabelCount, ...]
    distinct_pairs: int
    top_pairs: tuple[LabelPair, ...]
    label_frequency: tuple[int, ...]
    features: Features | None
    segments: Segments | None = None


class Statistics(BaseModel, frozen=True):
    """Statistics of a data set: `data` is the pattern of its shards, `names` are its labels' in the order of their ids.

    `bad_records` is the file or folder that lists the rejected records, and `bad_ratings` that of the rejected ratings;
    "" where none is written.
    """

    data: str
    level: Level
    synthetic: SyntheticData | None
    ingest: Summary
    bad_records: str
    splits: dict[str, SplitStatistics]
    agreement: Agreement
    names: tuple[str, ...]
    bad_ratings: str = ""

    @classmethod
    def read(cls, uri: str) -> "Statistics":
        """Reads `statistics.json` of a folder.

        Raises:
            InputError: it cannot be read, or is damaged.
        """
        path = f"{uri}/{STATISTICS}"
        try:
            with FileSystems.open(path) as file:
                return cls.model_validate_json(file.read())
        except OSError as error:
            raise InputError(f"{path}: {error.strerror or error}") from None
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise InputError(f"{path}: no statistics of a data set: {printable(first['msg'])}") from None

    def write(self, uri: str) -> None:
        """Writes `statistics.json` into a folder."""
        write_whole(f"{uri}/{STATISTICS}", self.model_dump_json(indent=1).encode())


def describe(
    counts: Mapping[str, SplitCounts],
    names: Sequence[str],
    data: str,
    level: Level,
    synthetic: SyntheticData | None,
    ingest: Summary,
    bad_records: str,
    bad_ratings: str = "",
) -> Statistics:
    """The statistics of a data set, computed from the counts of its splits; see `Statistics`."""
    names = tuple(names)
    return Statistics(
        data=data,
        level=level,
        synthetic=synthetic,
        ingest=ingest,
        bad_records=bad_records,
        splits={split: _describe(split_counts, names) for split, split_counts in counts.items()},
        agreement=agreement(
            {split: split_counts.label_frequency for split, split_counts in counts.items()},
            {split: split_counts.videos for split, split_counts in counts.items()},
            names,
        ),
        names=names,
        bad_ratings=bad_ratings,
    )


def _describe(counts: SplitCounts, names: tuple[str, ...]) -> SplitStatistics:
    frequency = counts.label_frequency
    order = np.argsort(-frequency, kind="stable")[:MOST_FREQUENT].tolist()
    features = None
    if counts.videos:
        mean, variance = counts.moments.mean_and_variance()
        features = Features(mean=mean.tolist(), variance=variance.tolist())
    return SplitStatistics(
        videos=counts.videos,
        max_frequency=_extreme(frequency, int(frequency.max()), names),
        min_frequency=_extreme(frequency, int(frequency.min()), names),
        absent_labels=_extreme(frequency, 0, names).labels,
        labels_a_video=_distribution(counts.labels_a_video),
        frames_a_video=_distribution(counts.frames_a_video),
        most_frequent=tuple(
            LabelCount(id=label, name=names[label], videos=int(frequency[label])) for label in order if frequency[label]
        ),
        distinct_pairs=counts.pairs.distinct,
        top_pairs=tuple(
            LabelPair(ids=(first, second), names=(names[first], names[second]), videos=videos)
            for first, second, videos in counts.pairs.top(TOP_PAIRS)
        ),
        label_frequency=tuple(frequency.tolist()),
        features=features,
        segments=_segments(counts.segments, names),
    )


def _segments(counts: SegmentCounts, names: tuple[str, ...]) -> Segments | None:
    segments_a_video = _distribution(counts.segments_a_video)
    if not segments_a_video:
        return None
    order = np.argsort(-counts.ratings, kind="stable")[:MOST_FREQUENT].tolist()
    return Segments(
        segments_a_video=segments_a_video,
        rated_segments=counts.rated_segments,
        most_rated=tuple(
            LabelRatings(
                id=label, name=names[label], ratings=int(counts.ratings[label]), positives=int(counts.positives[label])
            )
            for label in order
            if counts.ratings[label]
        ),
        ratings=tuple(counts.ratings.tolist()),
        positives=tuple(counts.positives.tolist()),
    )


def _extreme(frequency: NDArray[np.int64], videos: int, names: tuple[str, ...]) -> Extreme:
    labels = np.flatnonzero(frequency == videos).tolist()
    return Extreme(videos=videos, labels=tuple(names[label] for label in labels))


def _distribution(counts: NDArray[np.int64]) -> Distribution | None:
    """None where nothing was counted."""
    seen = np.flatnonzero(counts)
    if not len(seen):
        return None
    videos, most = int(counts.sum()), int(seen[-1])
    return Distribution(
        mean=float(counts @ np.arange(len(counts))) / videos,
        least=int(seen[0]),
        # Of an even number of videos the lower of the two in the middle.
        median=int(np.searchsorted(np.cumsum(counts), (videos + 1) // 2)),
        most=most,
        counts=tuple(counts[: most + 1].tolist()),
    )
