"""The page about training: loss and F1 of each epoch, as curves and as numbers."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from components.pages.svg import COLOURS, TEXT, svg_plot
from components.trainer.trainer import read_training_log

# Inches: at 72 points each, just below the width of the narrowest page, so that letters are not scaled there.
SIZE = (4.6, 2.6)

# With more epochs, markers hide the curve.
MARKED_EPOCHS = 30


def training(model_uri: str) -> dict[str, Any]:
    """The variables of training.html, from the training log in the model."""
    log = read_training_log(model_uri)
    epochs = log.epochs
    curves = {
        "Loss": {"training": [epoch.loss for epoch in epochs], "validation": [epoch.val_loss for epoch in epochs]},
        "F1": {"training": [epoch.f1 for epoch in epochs], "validation": [epoch.val_f1 for epoch in epochs]},
        "Learning rate": {"after the epoch": [epoch.learning_rate for epoch in epochs]},
        "Seconds": {"training and validation": [epoch.seconds for epoch in epochs]},
    }
    numbers = [epoch.epoch + 1 for epoch in epochs]
    best = numbers[log.best_epoch]
    plots = {title: plot(title, numbers, lines, best) for title, lines in curves.items()}
    return {"log": log, "best": best, "plots": plots}


def plot(title: str, epochs: Sequence[int], lines: Mapping[str, Sequence[float]], best: int) -> Markup:
    """Curves over the epochs.

    Args:
        title: of the plot.
        epochs: counted from 1.
        lines: a value for each epoch, by the line's name.
        best: the epoch to mark.
    """

    def paint(axes: Axes) -> None:
        marker = "o" if len(epochs) <= MARKED_EPOCHS else ""
        for colour, (name, values) in zip(COLOURS, lines.items(), strict=False):
            axes.plot(epochs, values, color=colour, label=name, marker=marker, markersize=3, linewidth=1.5)
        axes.axvline(best, color=TEXT, linestyle="--", linewidth=1, alpha=0.6, label=f"best epoch ({best})")
        if title == "Loss" and min(min(values) for values in lines.values()) > 0:
            _scale_by_factors(axes)  # the first epoch's loss is often twenty times that of the others
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        # Beside the title, where it overlaps no curve.
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, fontsize=8, handlelength=1.5, columnspacing=1)

    return svg_plot(title, f"{title} by epoch", SIZE, paint)


def _scale_by_factors(axes: Axes) -> None:
    """A logarithmic axis with plain numbers; matplotlib's own labels are formulas, which a page shows as TeX."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    few = high < 10 * low
    axes.yaxis.set_major_locator(MaxNLocator(5) if few else LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
