"""The page of a search: hyperparameters and scores of each trial of a search."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.ticker import LogLocator, MaxNLocator

from components.example_gen.synthetic import SyntheticData
from components.pages import page_templates
from components.pages.svg import COLOURS, TEXT, fit_text, svg_plot
from models.errors import plural
from models.metrics.outcomes import TOP
from tuner.trials import SearchResult, TrialResult

SCORES = {"val_gap": f"GAP@{TOP}", "val_f1": "F1", "val_loss": "loss"}

ORACLES = {
    "random": "Random search",
    "bayesian": "Bayesian optimization",
    "hyperband": "Hyperband",
    "grid": "Grid search",
}

# An axis is logarithmic if its largest number is more than so many times its smallest.
LOG_FROM = 20

# Up to so many distinct numbers get a tick each; the least distance of two ticks, as a share of the axis.
EACH_A_TICK, TICK_DISTANCE = 6, 0.11

# Letters that fit side by side below a plot, and those of the longest tick.
LETTERS, LONGEST_TICK = 30, 18

# Inches: size of a parameter's plot; of the plot of all trials the least distance of two axes, least width, and height.
SIZE, GAP, WIDTH, HEIGHT = (3.4, 2.3), 1.4, 9.6, 3.4

# From the worst trial to the best; by rank, so that one bad trial doesn't hide the differences of the others.
RAMP = LinearSegmentedColormap.from_list("rank", (COLOURS[0], COLOURS[8], COLOURS[1]))


def trials_page(
    result: SearchResult,
    subject: str,
    synthetic: SyntheticData | None,
    navigation: Mapping[str, str],
    page: str = "",
) -> str:
    """The page as HTML.

    Args:
        result: the trials of a search, at least one of them scored.
        subject: the page's title, such as the experiment.
        synthetic: description of synthetic data; None for other data.
        navigation: links to other pages, see `components.pages`.
        page: file name of this page without ending.
    """
    names = _short_names(dict.fromkeys(key for trial in result.trials for key in trial.values))
    scores = {name: SCORES[name] for name in sorted(SCORES, key=lambda name: name != result.objective)}
    # NaN has no place in a plot.
    drawn = [trial for trial in result.ranked if math.isfinite(trial.scores.get(result.objective, math.nan))]
    return (
        page_templates(Path(__file__).parent)
        .get_template("trials.html")
        .render(
            result=result,
            names=names,
            scores=scores,
            oracle=ORACLES[result.oracle],
            scored=sum(bool(trial.scores) for trial in result.trials),
            time=_duration(sum(trial.seconds for trial in result.trials)),
            text=_as_text,
            lines=_lines(result, names, drawn) if drawn else None,
            plots=[
                _points(result, key, name, drawn) for key, name in names.items() if any(key in t.values for t in drawn)
            ],
            subject=subject,
            synthetic=synthetic,
            navigation=navigation,
            page=page,
        )
    )


def _short_names(keys: Sequence[str] | Mapping[str, Any]) -> dict[str, str]:
    """The last part of each key, or the whole key if another key ends with the same part."""
    last = [key.rpartition(".")[2] for key in keys]
    return {key: name if last.count(name) == 1 else key for key, name in zip(keys, last, strict=True)}


def _as_text(value: Any) -> str:
    """A hyperparameter's value as an experiment writes it; numbers to four digits."""
    return f"{value:.4g}" if isinstance(value, float) else value if isinstance(value, str) else json.dumps(value)


def _duration(seconds: float) -> str:
    """Hours and minutes, without leading zero parts; seconds below a minute."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


class Scale:
    """Places from 0 to 1 of values on an axis: numbers by size, other values evenly spaced.

    Args:
        values: all values on the axis.
    """

    def __init__(self, values: Sequence[Any]) -> None:
        if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
            self._kinds: list[str] = []
            self._low, self._high = min(values), max(values)
            self._is_log = self._low > 0 and self._high / self._low > LOG_FROM
            shown = sorted(set(values))
            if len(shown) > EACH_A_TICK:
                locator = LogLocator(subs=(1, 2, 5)) if self._is_log else MaxNLocator(5, steps=(1, 2, 2.5, 5, 10))
                ticks = locator.tick_values(self._low, self._high)
                shown = [tick for tick in ticks if self._low <= tick <= self._high]
        else:
            shown = _sorted({_as_text(value): value for value in values})
            self._kinds = [_as_text(value) for value in shown]
        self.ticks: dict[float, str] = {}
        for value in shown:
            place = self.place(value)
            if self._kinds or not self.ticks or place - max(self.ticks) >= TICK_DISTANCE:
                text = _as_text(value)
                self.ticks[place] = text if len(text) <= LONGEST_TICK else f"{text[: LONGEST_TICK - 1]}…"

    def place(self, value: Any) -> float:
        """The place of a value; 0.5 where it is the only one."""
        if self._kinds:
            index, last = self._kinds.index(_as_text(value)), len(self._kinds) - 1
            return index / last if last else 0.5
        if self._low == self._high:
            return 0.5
        low, high, at = np.log((self._low, self._high, value)) if self._is_log else (self._low, self._high, value)
        return float((at - low) / (high - low))


def _sorted(values: Mapping[str, Any]) -> list[Any]:
    try:
        return sorted(values.values())
    except TypeError:  # of several types
        return [values[text] for text in sorted(values)]


def _lines(result: SearchResult, names: Mapping[str, str], drawn: Sequence[TrialResult]) -> Markup:
    """Parallel coordinates (Inselberg 1985): an axis for each parameter and the objective, a line for each trial."""
    rows = [{**trial.values, "": trial.scores[result.objective]} for trial in drawn]
    titles = {key: name for key, name in names.items() if any(key in row for row in rows)}
    titles[""] = SCORES[result.objective]
    scales = {key: Scale([row[key] for row in rows if key in row]) for key in titles}

    def paint(axes: Axes) -> None:
        axes.grid(False)
        axes.spines[:].set_visible(False)
        for x, scale in enumerate(scales.values()):
            axes.axvline(x, color=TEXT, linewidth=0.8, alpha=0.5)
            for place, label in scale.ticks.items():
                axes.text(x - 0.04, place, label, ha="right", va="center", fontsize=8)
        for colour, row in reversed(list(zip(_colours(len(rows)), rows, strict=True))):
            # A line skips the axes of parameters that its trial does not have.
            places = [(x, scale.place(row[key])) for x, (key, scale) in enumerate(scales.items()) if key in row]
            best = row is rows[0]
            axes.plot(
                *zip(*places, strict=True),
                color=colour,
                marker="o",
                markersize=6 if best else 3.5,
                linewidth=2.5 if best else 1.1,
                alpha=1 if best else 0.75,
            )
        axes.set_xlim(-0.5, len(scales) - 0.8)
        axes.set_xticks(
            range(len(scales)), [fit_text(title, 0.9 * GAP, 9) for title in titles.values()], fontweight="bold"
        )
        axes.set_yticks([])
        axes.tick_params(length=0)

    alt_text = f"The values of {plural(len(rows), 'trial')} as a line each; the best: {_alt_text(result, drawn[0])}"
    return svg_plot("All scored trials", alt_text, (max(WIDTH, GAP * len(scales)), HEIGHT), paint)


def _points(result: SearchResult, key: str, name: str, drawn: Sequence[TrialResult]) -> Markup:
    """Values of a parameter against the objective, a point for each trial."""
    scale = Scale([trial.values[key] for trial in drawn if key in trial.values])

    def paint(axes: Axes) -> None:
        for colour, trial in reversed(list(zip(_colours(len(drawn)), drawn, strict=True))):
            if key in trial.values:
                x, y = scale.place(trial.values[key]), trial.scores[result.objective]
                axes.plot(x, y, "o", color=colour, markersize=4.5, alpha=0.85)
                if trial is drawn[0]:
                    axes.plot(x, y, "o", color="none", markeredgecolor=TEXT, markersize=9)
        axes.set_xlim(-0.08, 1.08)
        crowded = sum(map(len, scale.ticks.values())) > LETTERS
        turned: dict[str, Any] = {"rotation": 25, "ha": "right", "rotation_mode": "anchor"} if crowded else {}
        axes.set_xticks(list(scale.ticks), scale.ticks.values(), **turned)
        axes.set_ylabel(SCORES[result.objective])

    return svg_plot(name, f"{SCORES[result.objective]} by {name}; the best: {_alt_text(result, drawn[0])}", SIZE, paint)


def _colours(count: int) -> list[tuple[float, ...]]:
    """From the best trial to the worst."""
    return [RAMP(1 - rank / max(count - 1, 1)) for rank in range(count)]


def _alt_text(result: SearchResult, trial: TrialResult) -> str:
    values = ", ".join(f"{key} {_as_text(value)}" for key, value in trial.values.items())
    return f"{SCORES[result.objective]} {trial.scores[result.objective]:.4f} with {values}"
