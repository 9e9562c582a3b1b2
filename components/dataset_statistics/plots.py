"""The plots of the page, and the label frequencies of a split as in figures 3 to 8 of the thesis."""

import io
from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MultipleLocator
from numpy.typing import NDArray

from components.dataset_statistics.statistics import Distribution, Features, SplitStatistics
from components.pages.svg import COLOURS, svg_plot, whole_numbers
from models.errors import plural
from models.features import MAX_FRAMES, RGB_WIDTH

# Inches, 72 points each: a little less than the narrowest page, so that letters keep their size there.
SIZE = (4.6, 2.6)

# Columns of a page's plot: one for each pixel of its 460 points or so. A bar for each of 3862 labels would be an eighth
# of a pixel wide and take 20 times the bytes.
COLUMNS = 480

# Bars begin below log10(1) = 0, else those of labels with a single video would have no height.
FLOOR = -0.3

# Marks of absent labels reach from FLOOR down to here.
ABSENT_FLOOR = -0.55

# Frames (seconds) that share a column.
FRAMES_A_COLUMN = 10


def frequency_plot(split: str, frequency: Sequence[int]) -> Markup:
    """Label frequencies of a split against label ids, for a page."""
    per_column = labels_a_column(len(frequency))
    return svg_plot(
        f"Label frequencies, {split} split",
        f"Videos of the {split} split that have a label, by label id: {min(frequency):,} to {max(frequency):,}",
        SIZE,
        lambda axes: _frequencies(axes, frequency, per_column),
    )


def labels_a_column(classes: int) -> int:
    """How many labels share a column of a page's plot."""
    return -(-classes // COLUMNS)


def frequency_figures(split: str, statistics: SplitStatistics) -> dict[str, bytes]:
    """The same plot with a bar for each label, as PNG and SVG files by their ending."""
    style = {
        "svg.fonttype": "none",
        "svg.hashsalt": split,  # the same bytes in every run
        "text.parse_math": False,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    with matplotlib.rc_context(style):
        figure = Figure((9, 4), layout="constrained", dpi=150)
        axes = figure.subplots()
        _frequencies(axes, statistics.label_frequency, 1)
        axes.set_title(f"Label frequencies, {split} split ({plural(statistics.videos, 'video')})", loc="left")
        files = {}
        for ending in ("png", "svg"):
            content = io.BytesIO()
            metadata = {"Software": None} if ending == "png" else {"Date": None}
            figure.savefig(content, format=ending, metadata=metadata)
            files[ending] = content.getvalue()
    return files


def distribution_plot(title: str, axis: str, splits: Mapping[str, Distribution], frames: bool) -> Markup:
    """Share of each split's videos by their number of labels or frames."""

    def paint(axes: Axes) -> None:
        most = MAX_FRAMES if frames else max(distribution.most for distribution in splits.values())
        for colour, (split, distribution) in zip(COLOURS, splits.items(), strict=False):
            counts = np.zeros(most + 1)
            counts[: len(distribution.counts)] = distribution.counts
            if frames:  # 1 to 10 frames, 11 to 20, ...
                values, edges = counts[1:].reshape(-1, FRAMES_A_COLUMN).sum(axis=1), np.arange(0, most + 1, 10.0)
            else:
                values, edges = counts[1:], np.arange(0.5, most + 1)
            axes.stairs(values / counts.sum(), edges, color=colour, label=split, linewidth=1.3, baseline=None)
        axes.set_xlabel(axis)
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_locator(whole_numbers())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g}%"))

    return svg_plot(title, f"{title}: share of the videos of each split", SIZE, paint)


def feature_plot(title: str, split: str, features: Features, columns: slice) -> Markup:
    """Mean and standard deviation of each feature of a stream."""

    def paint(axes: Axes) -> None:
        place = np.arange(len(features.mean))[columns] - (columns.start or 0)
        deviations = np.sqrt(features.variance[columns])
        axes.plot(place, deviations, color=COLOURS[1], linewidth=0.8, label="standard deviation")
        axes.plot(place, features.mean[columns], color=COLOURS[0], linewidth=0.8, label="mean")
        axes.set_xlabel("feature")

    return svg_plot(title, f"{title}: mean and standard deviation of each feature, {split} split", SIZE, paint)


RGB_COLUMNS, AUDIO_COLUMNS = slice(0, RGB_WIDTH), slice(RGB_WIDTH, None)


def _frequencies(axes: Axes, frequency: Sequence[int], per_column: int) -> None:
    """Bars; a column of several labels is dark up to the least frequent of them, light up to the most frequent."""
    edges = np.append(np.arange(0, len(frequency), per_column), len(frequency)) - 0.5
    columns = _by_column(np.array(frequency), per_column)
    least, most = (np.log10(np.maximum(extreme, 10**FLOOR)) for extreme in (columns.min(1), columns.max(1)))
    if per_column > 1:
        axes.stairs(most, edges, baseline=FLOOR, fill=True, color=COLOURS[0], alpha=0.45, linewidth=0)
    axes.stairs(least, edges, baseline=FLOOR, fill=True, color=COLOURS[0], linewidth=0)
    if 0 in frequency:
        absent = np.where(columns.min(1) == 0, ABSENT_FLOOR, FLOOR)
        axes.stairs(absent, edges, baseline=FLOOR, fill=True, color=COLOURS[3], linewidth=0)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(bottom=ABSENT_FLOOR if 0 in frequency else FLOOR, top=max(1.0, most.max() * 1.05))
    axes.yaxis.set_major_locator(MultipleLocator(1))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda power, _: f"{10**power:,.0f}"))
    axes.xaxis.set_major_locator(whole_numbers())
    axes.set_xlabel("label id" + (" (red: absent)" if 0 in frequency else ""))
    axes.set_ylabel("videos")


def _by_column(values: NDArray[np.int64], per_column: int) -> NDArray[np.int64]:
    """[columns, per_column]; the last column repeats its last label."""
    missing = -len(values) % per_column
    return np.pad(values, (0, missing), mode="edge").reshape(-1, per_column)
