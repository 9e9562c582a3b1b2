"""Plots of the tables: F1 by encoder, size, time and epoch, and at the video level against the frame level."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from matplotlib.axes import Axes

from components.pages.svg import COLOURS, TEXT, fit_text, log_scale, svg_plot, whole_numbers
from pipeline.experiments import catalogue
from pipeline.reports.thesis.results import ENCODERS, Result, as_text, entry_settings

# Inches of 72 points: 9-point letters are 12 pixels high where two plots share a page 1240 pixels wide.
WIDTH, HEIGHT = 6.2, 3.3

# Rows that have a place in the plot of encoders: a single bar would fill it.
FEWEST_ROWS = 3

# With more curves than this, colours stand for encoders instead of runs.
NAMED_CURVES = len(COLOURS)

# Markers of the data sets A, B, ...; published values have another one.
MARKERS = "os^Dv<>p*h"
PUBLISHED: dict[str, Any] = {"marker": "+", "markersize": 9, "markeredgewidth": 1.6, "linestyle": ""}

RECURRENT = ("LSTM", "GRU")


@dataclass(frozen=True)
class Plot:
    """A plot, or a sentence on why there is none."""

    title: str
    svg: Markup | None
    note: str = ""


def plots(results: Sequence[Result]) -> list[Plot]:
    """All plots of the page."""
    recurrent = [result for result in results if result.encoder in RECURRENT]
    return [
        _by_encoder(results),
        _video_against_frame(results),
        _scatter(
            "Test F1 against parameters",
            results,
            "parameters of our model",
            lambda result: result.run.log.parameters,
            lambda result: result.run.log.parameters,
        ),
        _scatter(
            "Test F1 against time",
            results,
            "minutes per epoch, each on its own machine and data",
            lambda result: result.seconds / 60,
            lambda result: result.published.minutes_per_epoch if result.published else None,
        ),
        _curves("Training F1 of all runs", results, ""),
        _curves(
            "Training F1 of LSTM and GRU (thesis: figures 14 and 15)",
            recurrent,
            "No run of an LSTM or GRU model.",
        ),
    ]


def _by_encoder(results: Sequence[Result]) -> Plot:
    """The best run of each encoder on each data set, with the published F1 of the same experiment."""
    title = "Test F1 of the best run of each encoder"
    best: dict[tuple[str, str], Result] = {}
    for result in results:
        key = (result.encoder, result.data.name)
        if key not in best or result.run.scores.splits.test.f1 > best[key].run.scores.splits.test.f1:
            best[key] = result
    shown = sorted(best.values(), key=lambda result: (_encoder_number(result), result.data.name))

    def paint(axes: Axes) -> None:
        ours = [result.run.scores.splits.test.f1 for result in shown]
        places = range(len(shown))
        bars = axes.barh([place + 0.19 for place in places], ours, 0.36, color=COLOURS[0], label="ours")
        axes.bar_label(bars, fmt="{:.3f}", padding=3, fontsize=8)
        known = [(place, result.published.f1_test) for place, result in enumerate(shown) if result.published]
        if known:
            bars = axes.barh(
                [place - 0.19 for place, _ in known],
                [published for _, published in known],
                0.36,
                color="none",
                edgecolor=TEXT,
                linewidth=0.8,
                label="published for the same experiment",
            )
            axes.bar_label(bars, fmt="{:.3f}", padding=3, fontsize=8)
        names = [f"{result.encoder}\n{fit_text(_label(result, results), WIDTH / 2, 8)}" for result in shown]
        axes.set_yticks(places, names, fontsize=8)
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(max(len(shown), FEWEST_ROWS) - 0.5, -0.5)
        axes.grid(False, axis="y")
        axes.set_xlim(0, 1.05 * max([0.1, *ours, *(published for _, published in known)]) + 0.05)
        axes.set_xlabel("test F1")

    return Plot(title, svg_plot(title, title, (WIDTH, max(HEIGHT, 1 + 0.5 * len(shown))), paint))


def _video_against_frame(results: Sequence[Result]) -> Plot:
    """The models that the thesis trained on all videos (table 4) and on a subset (table 6)."""
    title = "Average pooling of all videos (table 4) and of 30% of them (table 6)"
    by_table = {
        table: {
            repr(entry_settings(entry) | {"level": ""}): entry
            for entry in catalogue().values()
            if entry.published and entry.published.table == table
        }
        for table in (4, 6)
    }
    pairs = [(entry, by_table[6][key]) for key, entry in by_table[4].items() if key in by_table[6]]
    shown = [pair for pair in pairs if any(result.entry in pair for result in results)]
    if not shown:
        return Plot(title, None, "No run of a model that is in both table 4 and table 6.")

    def paint(axes: Axes) -> None:
        for place, pair in enumerate(shown):
            for entry, colour, shift in zip(pair, COLOURS, (-0.14, 0.14), strict=False):
                assert entry.published is not None
                axes.plot(entry.published.f1_test, place + shift, color=colour, **PUBLISHED)
                for result in results:
                    if result.entry == entry:
                        score = result.run.scores.splits.test.f1
                        axes.plot(score, place + shift, color=colour, marker=_marker(result), linestyle="", alpha=0.8)
        for colour, name in zip(COLOURS, ("video level (table 4)", "frame level (table 6)"), strict=False):
            axes.plot([], [], color=colour, linewidth=4, label=name)
        _marker_legend(axes, [result for result in results if any(result.entry in pair for pair in shown)])
        axes.set_yticks(range(len(shown)), [as_text(pair[0].model.hidden_units) for pair in shown], fontsize=8)
        axes.set_ylim(len(shown) - 0.5, -0.5)
        axes.set_ylabel("hidden layer units")
        axes.set_xlabel("test F1")

    return Plot(title, svg_plot(title, title, (WIDTH, max(HEIGHT, 1.4 + 0.35 * len(shown))), paint))


def _scatter(
    title: str,
    results: Sequence[Result],
    axis: str,
    ours: Callable[[Result], float],
    published: Callable[[Result], float | None],
) -> Plot:
    """Test F1 over a quantity of each run, with the published values; colours stand for encoders."""
    shown = [result for result in results if ours(result) > 0]
    if not shown:
        return Plot(title, None, "No run has a value above 0.")

    def paint(axes: Axes) -> None:
        reached = []
        for result in shown:
            known, colour = published(result), _colour(result)
            if known is not None and result.published:
                axes.plot(known, result.published.f1_test, color=colour, **PUBLISHED)
                reached.append(known)
            score = result.run.scores.splits.test.f1
            axes.plot(ours(result), score, color=colour, marker=_marker(result), linestyle="", alpha=0.8)
            reached.append(ours(result))
        _encoder_legend(axes, shown)
        _marker_legend(axes, shown)
        log_scale(axes, "x")
        axes.set_xlim(min(reached) / 2, max(reached) * 2)
        axes.set_xlabel(axis)
        axes.set_ylabel("test F1")

    return Plot(title, svg_plot(title, f"{title}, {axis}", (WIDTH, HEIGHT), paint))


def _curves(title: str, results: Sequence[Result], missing: str) -> Plot:
    """Training F1 by epoch; colours stand for runs if there are few, else for encoders."""
    if not results:
        return Plot(title, None, missing)
    named = len(results) <= NAMED_CURVES

    def paint(axes: Axes) -> None:
        for number, result in enumerate(results):
            epochs = result.run.log.epochs
            axes.plot(
                [epoch.epoch + 1 for epoch in epochs],
                [epoch.f1 for epoch in epochs],
                color=COLOURS[number] if named else _colour(result),
                label=_label(result, results) if named else None,
                marker="o" if len(epochs) == 1 else "",
                markersize=3,
                linewidth=1.5,
                alpha=0.9,
            )
        if not named:
            _encoder_legend(axes, results)
        axes.set_xlim(left=0.5)
        axes.xaxis.set_major_locator(whole_numbers())
        axes.set_xlabel("epoch")
        axes.set_ylabel("training F1")

    return Plot(title, svg_plot(title, title, (WIDTH, HEIGHT), paint))


def _label(result: Result, among: Iterable[Result]) -> str:
    """The experiment, with data, seed and changed settings where runs differ in them."""
    among = list(among)
    parts = [result.experiment]
    if len({each.data.name for each in among}) > 1 or result.data.synthetic:
        parts.append(f"data {result.data.name}" + (" (synthetic)" if result.data.synthetic else ""))
    seeds = {each.run.settings.seed for each in among if each.experiment == result.experiment}
    if len(seeds) > 1:
        parts.append(f"seed {result.run.settings.seed}")
    if result.changes:
        parts.append("changed")
    return ", ".join(parts)


def _encoder_number(result: Result) -> int:
    names = list(ENCODERS.values())
    return names.index(result.encoder) if result.encoder in names else len(names)


def _colour(result: Result) -> str:
    return COLOURS[_encoder_number(result) % len(COLOURS)]


def _marker(result: Result) -> str:
    return MARKERS[(ord(result.data.name[0]) - ord("A")) % len(MARKERS)]


def _encoder_legend(axes: Axes, results: Sequence[Result]) -> None:
    for result in sorted({_encoder_number(result): result for result in results}.values(), key=_encoder_number):
        axes.plot([], [], color=_colour(result), linewidth=4, label=result.encoder)


def _marker_legend(axes: Axes, results: Sequence[Result]) -> None:
    for name, result in sorted({result.data.name: result for result in results}.items()):
        kind = " (synthetic)" if result.data.synthetic else ""
        axes.plot([], [], color=TEXT, marker=_marker(result), linestyle="", label=f"ours, data {name}{kind}")
    if any(result.published for result in results):
        axes.plot([], [], color=TEXT, **PUBLISHED, label="published")
