"""The statistics as a page and as figures."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from components.dataset_statistics.agreement import describe_agreement
from components.dataset_statistics.plots import (
    AUDIO_COLUMNS,
    FRAMES_A_COLUMN,
    RGB_COLUMNS,
    distribution_plot,
    feature_plot,
    frequency_figures,
    frequency_plot,
    labels_a_column,
)
from components.dataset_statistics.statistics import Distribution, Extreme, Segments, Statistics
from components.example_gen.synthetic import SyntheticData
from components.pages import page_templates
from components.publishing import write_whole
from models.features import MAX_FRAMES

PAGE = "statistics.html"

# Labels that a cell names; of more it shows the number.
NAMES_SHOWN = 2

# Rows that the page shows before it is unfolded.
PAIRS_SHOWN = 10
DIFFERENCES_SHOWN = 20

STREAMS = {"rgb": RGB_COLUMNS, "audio": AUDIO_COLUMNS}


def render(
    statistics: Statistics,
    subject: str,
    synthetic: SyntheticData | None,
    navigation: Mapping[str, str] | None = None,
    page: str = "",
) -> str:
    """The page.

    Args:
        statistics: of the data set.
        subject: the page's title.
        synthetic: the note that data are synthetic, see `components.pages`.
        navigation: links to other pages, see `components.pages`.
        page: file name of this page without ending.
    """
    return (
        page_templates(Path(__file__).parent)
        .get_template(PAGE)
        .render(
            subject=subject,
            synthetic=synthetic,
            navigation=navigation,
            page=page,
            statistics=statistics,
            rows=table(statistics),
            agreement_in_words=describe_agreement(statistics.agreement),
            labels_a_column=labels_a_column(len(statistics.names)),
            plots=_plots(statistics),
            features=_feature_rows(statistics),
            max_frames=MAX_FRAMES,
            frames_a_column=FRAMES_A_COLUMN,
            pairs_shown=PAIRS_SHOWN,
            differences_shown=DIFFERENCES_SHOWN,
        )
    )


def write_page_and_figures(statistics: Statistics, uri: str) -> None:
    """Writes `statistics.html`, and `figures/label-frequency-<split>.png` and `.svg`, into a folder."""
    write_whole(f"{uri}/{PAGE}", render(statistics, statistics.data, statistics.synthetic).encode())
    for name, split in statistics.splits.items():
        for ending, content in frequency_figures(name, split).items():
            write_whole(f"{uri}/figures/label-frequency-{name}.{ending}", content)


def table(statistics: Statistics) -> dict[str, list[str]]:
    """The rows of the thesis' tables 2 and 3 and some more, by name: a cell for each split."""
    splits = statistics.splits.values()
    rows = {
        "video count": [f"{split.videos:,}" for split in splits],
        "max frequency": [_extreme(split.max_frequency) for split in splits],
        "min frequency": [_extreme(split.min_frequency) for split in splits],
        "absent labels": [_some(split.absent_labels) for split in splits],
        "average label count": [_mean(split.labels_a_video) for split in splits],
        "least, median, most labels": [_spread(split.labels_a_video) for split in splits],
    }
    if statistics.level == "frame":
        rows["average frame count"] = [_mean(split.frames_a_video) for split in splits]
        rows["least, median, most frames"] = [_spread(split.frames_a_video) for split in splits]
    rows["distinct pairs of labels"] = [f"{split.distinct_pairs:,}" for split in splits]
    segments = [split.segments for split in splits]
    if any(segments):
        rows["videos with segments"] = [f"{sum(s.segments_a_video.counts):,}" if s else "0" for s in segments]
        rows["average segment count"] = [_mean(s.segments_a_video) if s else "" for s in segments]
        rows["least, median, most segments"] = [_spread(s.segments_a_video) if s else "" for s in segments]
        rows["rated segments"] = [f"{s.rated_segments:,}" if s else "0" for s in segments]
        rows["ratings (the label holds)"] = [_ratings(s) if s else "0" for s in segments]
        rows["rated labels"] = [f"{sum(map(bool, s.ratings)):,}" if s else "0" for s in segments]
    return rows


def _ratings(segments: Segments) -> str:
    ratings = sum(segments.ratings)
    return f"{ratings:,} ({sum(segments.positives) / ratings:.0%})" if ratings else "0"


def _extreme(extreme: Extreme) -> str:
    # Labels without a video are listed as absent.
    return f"{extreme.videos:,} ({_some(extreme.labels)})" if extreme.videos else "0"


def _some(names: tuple[str, ...]) -> str:
    """The names of a few labels, else their number."""
    return f"{len(names):,} labels" if len(names) > NAMES_SHOWN else ", ".join(names) or "none"


def _mean(numbers: Distribution | None) -> str:
    return f"{numbers.mean:.2f}" if numbers else ""


def _spread(numbers: Distribution | None) -> str:
    return f"{numbers.least}, {numbers.median}, {numbers.most}" if numbers else ""


def _plots(statistics: Statistics) -> dict[str, list[Any]]:
    """Plots by the section of the page they belong to."""
    labels = {name: split.labels_a_video for name, split in statistics.splits.items() if split.labels_a_video}
    frames = {name: split.frames_a_video for name, split in statistics.splits.items() if split.frames_a_video}
    counted = [frequency_plot(name, split.label_frequency) for name, split in statistics.splits.items()]
    counted.append(distribution_plot("Labels per video", "labels", labels, frames=False))
    if frames:
        counted.append(distribution_plot("Frames per video", "frames (seconds)", frames, frames=True))
    [(first, features)] = [(name, split.features) for name, split in statistics.splits.items() if split.features][:1]
    return {
        "labels and frames": counted,
        "features": [
            feature_plot(f"{stream}, {first} split", first, features, columns) for stream, columns in STREAMS.items()
        ],
    }


def _feature_rows(statistics: Statistics) -> list[dict[str, Any]]:
    """Each stream of each split: the average and the range of its dimensions' means and standard deviations."""
    rows = []
    for stream, columns in STREAMS.items():
        for name, split in statistics.splits.items():
            if split.features is None:
                continue
            means = np.array(split.features.mean[columns])
            deviations = np.sqrt(split.features.variance[columns])
            rows.append(
                {
                    "stream": stream,
                    "split": name,
                    "mean": means.mean(),
                    "means": (means.min(), means.max()),
                    "deviation": deviations.mean(),
                    "deviations": (deviations.min(), deviations.max()),
                    "constant": int(np.count_nonzero(deviations == 0)),
                }
            )
    return rows
