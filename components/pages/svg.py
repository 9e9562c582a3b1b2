"""Plots as SVG inside a page, with the page's text colour in light and dark mode."""

import io
import re
from collections.abc import Callable, Sequence
from typing import Literal

import matplotlib
import numpy as np
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, Locator, LogLocator, MaxNLocator, NullLocator

# Readable on white and on near-black.
COLOURS = ("#3b7dd8", "#e0761a", "#2f9e57", "#d64550", "#9067c6", "#a0704f", "#d65fa4", "#1fa2a6", "#7f8896")

# Replaced by the page's text colour, which matplotlib has no name for.
TEXT = "#010203"

# Points: sizes of the letters of a title and of a legend, and the width of a letter as a share of its size.
TITLE_SIZE, LEGEND_SIZE, LETTER_WIDTH = 10, 9, 0.68

# Fewest ticks of a logarithmic axis, and most that fit.
FEWEST_TICKS, MOST_TICKS = 3, 7

# Three times 0.1 is a little more than 0.3.
ROUNDING = 1e-9

_STYLE = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # a $ in a name is no formula
    # Labels are whole numbers or decimals: an offset or a power of ten above the axis is easily missed.
    "axes.formatter.useoffset": False,
    "axes.formatter.limits": (-12, 12),
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.alpha": 0.15,
    "legend.frameon": False,
    **dict.fromkeys(
        ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color", "grid.color"), TEXT
    ),
}


def svg_plot(title: str, alt_text: str, size: tuple[float, float], paint: Callable[[Axes], None]) -> Markup:
    """A plot as an <svg> element.

    Args:
        title: above the plot, unique on the page.
        alt_text: description of the plot for screen readers.
        size: width and height in inches, of 72 points each; a legend adds to the height.
        paint: draws the plot; TEXT stands for the page's text colour, and what it labels is in the legend.
    """
    # The salt makes ids unique among the plots of a page, and the same in every run.
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": title}):
        figure = draw_plot(title, size, paint)
        svg = io.StringIO()
        figure.savefig(
            svg, format="svg", transparent=True, metadata=dict.fromkeys(("Creator", "Date", "Format", "Type"))
        )
    return _inline(svg.getvalue(), alt_text)


def draw_plot(title: str, size: tuple[float, float], paint: Callable[[Axes], None]) -> Figure:
    """The figure of `svg_plot`: the title above the axes and the legend below them, where they overlap nothing."""
    figure = Figure(size, layout="constrained")
    paint(figure.subplots())
    lines = fit_text(title, size[0], TITLE_SIZE)
    figure.suptitle(lines, x=0.01, horizontalalignment="left", fontsize=TITLE_SIZE, fontweight="bold")
    _draw_legend(figure)
    return figure


def fit_text(text: str, inches: float, points: float) -> str:
    """Text in as many lines as it needs to fit into a width; breaks after spaces and the separators of names.

    Args:
        text: on one line.
        inches: the width.
        points: size of the letters.
    """
    most = max(int(72 * inches / (LETTER_WIDTH * points)), 1)
    lines = [""]
    for word in re.findall(rf"[^\s,._-]{{0,{most}}}[\s,._-]*", text):
        if len(lines[-1] + word.rstrip()) > most and lines[-1]:
            lines.append("")
        lines[-1] += word
    return "\n".join(line.rstrip() for line in lines)


def log_scale(axes: Axes, direction: Literal["x", "y"]) -> None:
    """Makes an axis logarithmic; its labels are numbers in full: matplotlib's own would be formulas."""
    axes.set(**{f"{direction}scale": "log"})
    axis = axes.xaxis if direction == "x" else axes.yaxis
    axis.set_major_locator(LogTicks())
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: short_number(value)))


def whole_numbers() -> Locator:
    """Ticks at whole numbers only, also where there is but one."""
    return MaxNLocator(MOST_TICKS + 1, integer=True, min_n_ticks=1)


class LogTicks(Locator):
    """Ticks of a logarithmic axis: few enough to be read, and several also where it spans less than a decade."""

    def __call__(self) -> Sequence[float]:
        """The ticks of the axis."""
        assert self.axis is not None
        return self.tick_values(*self.axis.get_view_interval())

    def tick_values(self, vmin: float, vmax: float) -> Sequence[float]:
        """The ticks between two positive numbers."""
        powers = (LogLocator(subs=steps, numticks=100) for steps in ((1,), (1, 3), (1, 2, 5)))
        for locator in (*powers, MaxNLocator(MOST_TICKS - 2, steps=(1, 2, 5, 10))):
            ticks = np.asarray(locator.tick_values(vmin, vmax))
            ticks = ticks[(ticks >= vmin * (1 - ROUNDING)) & (ticks <= vmax * (1 + ROUNDING))]
            if len(ticks) >= FEWEST_TICKS:
                break
        return ticks[:: -(-len(ticks) // MOST_TICKS) or 1].tolist()


def short_number(value: float) -> str:
    """A number of up to six digits, from a thousand on with k, M or G."""
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}" if value >= 1e-4 else f"{value:g}".replace("e-0", "e-")


def _draw_legend(figure: Figure) -> None:
    """Draws the legend below the axes, in as many columns as fit, and makes the figure higher by it."""
    [axes] = figure.axes
    handles, labels = axes.get_legend_handles_labels()
    width, height = figure.get_size_inches()
    texts = [fit_text(label, width - 0.5, LEGEND_SIZE) for label in labels]
    for columns in range(len(labels), 0, -1):
        legend = figure.legend(
            handles,
            texts,
            loc="outside lower left",
            ncols=columns,
            fontsize=LEGEND_SIZE,
            handlelength=1.5,
            columnspacing=1.2,
        )
        extent = legend.get_window_extent()
        if extent.width <= figure.bbox.width or columns == 1:
            figure.set_size_inches(width, height + extent.height / figure.dpi)
            return
        legend.remove()


def _inline(svg: str, alt_text: str) -> Markup:
    """The <svg> element without the ids of groups, which would repeat for every plot."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'<g id="[^"]*"', "<g", svg).replace(TEXT, "currentColor")
    # Matplotlib escapes the texts it draws.
    return Markup(svg.replace("<svg ", f'<svg role="img" aria-label="{escape(alt_text)}" ', 1))
