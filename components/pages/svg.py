"""Plots as SVG inside a page, with the page's text colour in light and dark mode."""

import io
import re
from collections.abc import Callable

import matplotlib
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Readable on white and on near-black.
COLOURS = ("#3b7dd8", "#e0761a", "#2f9e57", "#d64550", "#9067c6", "#a0704f", "#d65fa4", "#1fa2a6", "#7f8896")

# Replaced by the page's text colour, which matplotlib has no name for.
TEXT = "#010203"

_STYLE = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # a $ in a name is no formula
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
        size: width and height in inches, of 72 points each.
        paint: draws the plot; TEXT stands for the page's text colour.
    """
    # The salt makes ids unique among the plots of a page, and the same in every run.
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": title}):
        figure = Figure(size, layout="constrained")
        axes = figure.subplots()
        paint(axes)
        axes.set_title(title, loc="left", fontsize=10, fontweight="bold")
        svg = io.StringIO()
        figure.savefig(
            svg, format="svg", transparent=True, metadata=dict.fromkeys(("Creator", "Date", "Format", "Type"))
        )
    return _inline(svg.getvalue(), alt_text)


def _inline(svg: str, alt_text: str) -> Markup:
    """The <svg> element without the ids of groups, which would repeat for every plot."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'<g id="[^"]*"', "<g", svg).replace(TEXT, "currentColor")
    # Matplotlib escapes the texts it draws.
    return Markup(svg.replace("<svg ", f'<svg role="img" aria-label="{escape(alt_text)}" ', 1))
