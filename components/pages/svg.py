"""Plots as SVG inside a page: they take on its colour of text, in light and in dark."""

import io
import re
from collections.abc import Callable

import matplotlib
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Readable on white and on near-black.
COLOURS = ("#3b7dd8", "#e0761a", "#2f9e57", "#d64550", "#9067c6", "#a0704f", "#d65fa4", "#1fa2a6", "#7f8896")

# A stand-in for the colour of the page's text, which matplotlib has no name for.
TEXT = "#010203"

_STYLE = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # names are text, whatever they hold
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
        title: above the plot; no other plot of the page has the same.
        alt_text: what the plot shows, for those who cannot see it.
        size: width and height in inches, of 72 points each.
        paint: draws it. What is drawn in TEXT gets the page's colour of text.
    """
    # The salt makes ids differ between plots, which share a page, and be the same in every run.
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
    """The element alone, without the ids that only name groups: they would be there once for every plot."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'<g id="[^"]*"', "<g", svg).replace(TEXT, "currentColor")
    # Matplotlib escapes the texts it draws.
    return Markup(svg.replace("<svg ", f'<svg role="img" aria-label="{escape(alt_text)}" ', 1))
