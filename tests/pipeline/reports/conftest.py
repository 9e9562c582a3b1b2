"""What a reader of a plot could not read: texts that overlap, are cut off, or are formulas."""

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pytest
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.text import Text

from components.pages import svg

# Pixels (of 100 an inch) by which texts may overlap or stick out: less than the space around a letter.
TOLERANCE = 1.5


def tick_labels(axis: Axis) -> list[Text]:
    """The labels that are drawn: matplotlib also keeps ticks outside the view."""
    low, high = sorted(axis.get_view_interval())
    return [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high and tick.label1.get_text()]


def flaws(figure: Figure) -> Iterator[str]:
    """A line for each text of a figure that is hard to read."""
    figure.draw_without_rendering()
    [axes] = figure.axes
    texts = [*figure.texts, *(text for legend in figure.legends for text in legend.get_texts()), *axes.texts]
    for axis in (axes.xaxis, axes.yaxis):
        labels = tick_labels(axis)
        if len(axis.get_ticklocs()) and len(labels) < (2 if axis.get_scale() == "log" else 1):
            yield f"an axis has {len(labels)} labels"
        if len({label.get_text() for label in labels}) < len(labels):
            yield "an axis has a label twice"
        texts += [axis.label, axis.get_offset_text(), *labels]
    texts = [text for text in texts if text.get_text()]
    # The box of a turned label is much larger than the label.
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts if text.get_rotation() in (0, 90)]
    for (one, box), (other, other_box) in combinations(boxes, 2):
        width = min(box.x1, other_box.x1) - max(box.x0, other_box.x0)
        height = min(box.y1, other_box.y1) - max(box.y0, other_box.y0)
        if min(width, height) > TOLERANCE:
            yield f"{one!r} overlaps {other!r}"
    for text in texts:
        box, page = text.get_window_extent(), figure.bbox
        if box.x0 < -TOLERANCE or box.y0 < -TOLERANCE or box.x1 > page.x1 + TOLERANCE or box.y1 > page.y1 + TOLERANCE:
            yield f"{text.get_text()!r} is cut off"
        if any(sign in text.get_text() for sign in ("mathdefault", "\\", "$", "nan", "inf")):
            yield f"{text.get_text()!r} is no text"
    if axes.bbox.width < 0.3 * figure.bbox.width or axes.bbox.height < 0.3 * figure.bbox.height:
        yield "the axes are small"


@pytest.fixture
def unreadable(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Fills with the flaws of all plots that a test draws, with the plots' titles."""
    found: list[str] = []
    draw = svg.draw_plot

    def checked(title: str, *arguments: Any) -> Figure:
        figure = draw(title, *arguments)
        found.extend(f"{title}: {flaw}" for flaw in flaws(figure))
        return figure

    monkeypatch.setattr(svg, "draw_plot", checked)
    return found
