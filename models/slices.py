"""The slices of test videos that every evaluation makes: ranges of their numbers of labels and of frames."""

from collections.abc import Mapping

from models.features import NUM_FRAMES, Level

NUM_LABELS = "num_labels"

# Upper bounds (inclusive) of the ranges; the last range has none.
LABEL_BOUNDS = (1, 2, 3, 4)
FRAME_BOUNDS = (60, 120, 180, 240, 299)


def range_names(bounds: tuple[int, ...]) -> tuple[str, ...]:
    """The names of ranges of whole numbers from 1 on, padded with zeros to sort as text.

    Example:
        >>> range_names((1, 4, 9))
        ('01', '02-04', '05-09', '10+')
    """
    width = len(str(bounds[-1] + 1))
    names, low = [], 1
    for high in bounds:
        names.append(f"{low:0{width}}" if low == high else f"{low:0{width}}-{high:0{width}}")
        low = high + 1
    return (*names, f"{low:0{width}}+")


def own_slices(level: Level) -> Mapping[str, tuple[str, ...]]:
    """The names of the slices by feature, for records of a level; video-level records have no number of frames."""
    labels = {NUM_LABELS: range_names(LABEL_BOUNDS)}
    return labels | {NUM_FRAMES: range_names(FRAME_BOUNDS)} if level == "frame" else labels
