"""The page about training: what each epoch reached, as curves and as numbers."""

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from components.trainer.trainer import read_training_log

# Inches: at 72 points each a little less than the narrowest page we draw for, so that letters keep their size there.
WIDTH, HEIGHT = 4.6, 2.6

# Readable on white and on near-black; the first is the training split's, the second the validation split's.
COLOURS = ("#3b7dd8", "#e0761a")

# A stand-in for the colour of the page's text, which matplotlib has no name for.
TEXT = "#010203"

STYLE = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.15,
    "legend.frameon": False,
    **dict.fromkeys(
        ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color", "grid.color"), TEXT
    ),
}

# Above this many epochs, points hide the curve.
MARKED_EPOCHS = 30


def training(model_uri: str) -> dict[str, Any]:
    """The variables of training.html, from the log in Trainer's model."""
    log = read_training_log(model_uri)
    epochs = log.epochs
    curves = {
        "Loss": {"training": [row.loss for row in epochs], "validation": [row.val_loss for row in epochs]},
        "F1": {"training": [row.f1 for row in epochs], "validation": [row.val_f1 for row in epochs]},
        "Learning rate": {"after the epoch": [row.learning_rate for row in epochs]},
        "Seconds": {"training and validation": [row.seconds for row in epochs]},
    }
    numbers = [row.epoch + 1 for row in epochs]
    best = numbers[log.best_epoch]
    plots = {title: plot(title, numbers, lines, best) for title, lines in curves.items()}
    return {"log": log, "best": best, "plots": plots}


def plot(title: str, epochs: Sequence[int], lines: Mapping[str, Sequence[float]], best: int) -> Markup:
    """Curves over the epochs as an SVG that takes on the page's colour of text.

    Args:
        title: of the vertical axis.
        epochs: counted from 1.
        lines: by name a value for each epoch.
        best: the epoch to mark.
    """
    # The salt makes ids differ between plots, which share a page, and be the same in every run.
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": title}):
        figure = Figure((WIDTH, HEIGHT), layout="constrained")
        axes = figure.subplots()
        marker = "o" if len(epochs) <= MARKED_EPOCHS else ""
        for colour, (name, values) in zip(COLOURS, lines.items(), strict=False):
            axes.plot(epochs, values, color=colour, label=name, marker=marker, markersize=3, linewidth=1.5)
        axes.axvline(best, color=TEXT, linestyle="--", linewidth=1, alpha=0.6, label=f"best epoch ({best})")
        if title == "Loss" and min(min(values) for values in lines.values()) > 0:
            axes.set_yscale("log")  # the first epoch's is often twenty times the others'
        axes.set_xlabel("epoch")
        axes.set_title(title, loc="left", fontsize=10, fontweight="bold")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        # Beside the title, where no curve can run into it.
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, fontsize=8, handlelength=1.5, columnspacing=1)
        svg = io.StringIO()
        figure.savefig(
            svg, format="svg", transparent=True, metadata=dict.fromkeys(("Creator", "Date", "Format", "Type"))
        )
    return _inline(svg.getvalue(), title)


def _inline(svg: str, title: str) -> Markup:
    """The element alone, without the ids that only name groups: they would be there once for every plot."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'<g id="[^"]*"', "<g", svg).replace(TEXT, "currentColor")
    # Only numbers and our own words are in it.
    return Markup(svg.replace("<svg ", f'<svg role="img" aria-label="{title} by epoch" ', 1))
