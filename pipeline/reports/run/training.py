"""The page about training: loss and F1 of each epoch, as curves and as numbers."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup
from matplotlib.axes import Axes

from components.pages.svg import COLOURS, TEXT, log_scale, svg_plot, whole_numbers
from components.trainer.trainer import read_training_log

# Inches: at 72 points each, just below the width of the narrowest page, so that letters are not scaled there.
SIZE = (4.6, 2.6)

# With more epochs, markers hide the curve.
MARKED_EPOCHS = 30

# The loss has a logarithmic axis where its largest value is more than so many times its smallest.
LOG_FROM = 3


def training(model_uri: str) -> dict[str, Any]:
    """The variables of training.html, from the training log in the model."""
    log = read_training_log(model_uri)
    epochs = log.epochs
    curves = {
        "Loss": {"training": [epoch.loss for epoch in epochs], "validation": [epoch.val_loss for epoch in epochs]},
        "F1": {"training": [epoch.f1 for epoch in epochs], "validation": [epoch.val_f1 for epoch in epochs]},
        "Learning rate": {"after the epoch": [epoch.learning_rate for epoch in epochs]},
        "Seconds": {
            "training and validation": [epoch.seconds for epoch in epochs],
            "waiting for input": [epoch.input_seconds for epoch in epochs],
        },
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
        if title == "Loss" and _is_wide([value for values in lines.values() for value in values]):
            log_scale(axes, "y")  # the first epoch's loss is often twenty times that of the others
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(whole_numbers())

    ends = "; ".join(f"{name} from {values[0]:.4g} to {values[-1]:.4g}" for name, values in lines.items())
    return svg_plot(title, f"{title} by epoch: {ends}; the best epoch is {best}", SIZE, paint)


def _is_wide(values: Sequence[float]) -> bool:
    """Whether positive numbers differ so much that the small ones would be lost on a linear axis."""
    return all(0 < value < math.inf for value in values) and max(values) > LOG_FROM * min(values)
