"""Plots of a run's pages can be read, whatever the data: few or many, constant or far apart."""

import math
import re
from typing import Any

import numpy as np
import pytest

from components.dataset_statistics.plots import distribution_plot, feature_plot, frequency_plot
from components.dataset_statistics.statistics import Distribution, Features
from components.evaluator.details import Details
from components.evaluator.page import plot_curves
from components.evaluator.verdict import Slice, Verdict
from components.pages.svg import LogTicks, fit_text, short_number, svg_plot
from components.tuner.page import trials_page
from models.metrics.findings import Findings
from models.metrics.video_metrics import VideoMetrics
from pipeline.reports.run.training import plot
from tuner.trials import SearchResult, TrialResult

LOSSES = {
    "two epochs": ([0.30178, 0.17867], [0.21978, 0.16146]),
    "one epoch": ([0.5], [0.4]),
    "constant": ([0.25] * 5, [0.25] * 5),
    "nearly constant": ([0.250001, 0.25], [0.25, 0.250002]),
    "a thousand epochs": (np.geomspace(0.9, 0.0004, 1000), np.geomspace(0.8, 0.01, 1000)),
    "many decades": ([3e5, 12.0, 1e-6], [4e5, 10.0, 1e-5]),
    "tiny": ([3e-7, 2e-7], [4e-7, 1e-7]),
    "zero": ([0.5, 0.0], [0.4, 0.1]),
    "not finite": ([0.5, math.nan], [math.inf, 0.1]),
    "never finite": ([math.nan], [math.inf]),
}


@pytest.mark.parametrize("losses", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("title", ["Loss", "Seconds"])
def test_curves_over_epochs_are_readable(unreadable, title, losses):
    lines = dict(zip(("training", "validation"), losses, strict=True))
    epochs = range(1, len(losses[0]) + 1)
    svg = plot(title, epochs, lines, len(epochs))
    assert not unreadable
    assert [f">{text}</text>" in svg for text in (title, "training", "validation", f"best epoch ({len(epochs)})")]


def test_the_loss_has_numbers_and_no_formulas_beside_its_axis():
    svg = plot("Loss", [1, 2, 3], {"training": [0.5, 0.05, 0.004]}, 3)
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    assert {"0.01", "0.03", "0.1", "0.3"} <= set(texts)


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.1, 0.3, ["0.1", "0.15", "0.2", "0.25", "0.3"]),
        (0.08, 1.1, ["0.1", "0.3", "1"]),
        (0.0009, 12, ["0.001", "0.01", "0.1", "1", "10"]),
        (1e-9, 1e6, ["1e-9", "1e-6", "0.001", "1", "1 k", "1 M"]),
        (1.5e6, 40e6, ["3 M", "10 M", "30 M"]),
    ],
)
def test_a_logarithmic_axis_has_three_to_seven_ticks(low, high, ticks):
    assert [short_number(tick) for tick in LogTicks().tick_values(low, high)] == ticks


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("short", "short"),
        ("some words that do not fit", "some words\nthat do not\nfit"),
        ("model.encoder.num_clusters", "model.\nencoder.num_\nclusters"),
        ("x" * 30, f"{'x' * 12}\n{'x' * 12}\n{'x' * 6}"),
        ("", ""),
    ],
)
def test_text_breaks_after_spaces_and_separators(text, expected):
    assert fit_text(text, 12 * 0.68 * 10 / 72 + 0.001, 10) == expected


def test_names_with_signs_of_formulas_and_long_names_stay_text(unreadable):
    name = "the_longest_name_of_an_experiment, data B (synthetic), seed 1, changed settings"
    svg = svg_plot("$x^2$", "", (3, 2), lambda axes: axes.plot([1, 2], label=name * 2))
    assert ">$x^2$</text>" in svg and unreadable == ["$x^2$: '$x^2$' is no text"]


FREQUENCIES = {
    "one label": [7],
    "one video": [1, 0],
    "none": [0, 0, 0],
    "twenty": list(range(165, 5, -8)),
    "all of YouTube-8M": [int(788_288 / (rank + 1)) for rank in range(3862)],
}


@pytest.mark.parametrize("frequency", FREQUENCIES.values(), ids=FREQUENCIES)
def test_label_frequencies_are_readable(unreadable, frequency):
    svg = frequency_plot("validation", frequency)
    assert not unreadable
    assert ">Label frequencies, validation split</text>" in svg
    assert len(svg) < 60_000
    ticks = re.findall(r">(\d+\.\d+)</text>", svg)
    assert not ticks, "label ids and videos are whole numbers"


@pytest.mark.parametrize(
    ("frames", "counts"), [(False, [0, 9]), (False, [0, 1, *[3] * 30]), (True, [0] * 300 + [5]), (True, [0, 1, 1])]
)
def test_distributions_are_readable(unreadable, frames, counts):
    least, most = min(np.flatnonzero(counts)), len(counts) - 1
    distribution = Distribution(mean=2.0, least=least, median=least, most=most, counts=tuple(counts))
    distribution_plot("A video", "labels", dict.fromkeys(("train", "validation", "test"), distribution), frames)
    assert not unreadable


@pytest.mark.parametrize("size", [0, 1e-9, 1, 1e6])
def test_features_are_readable(unreadable, size):
    random = np.random.default_rng(0)
    features = Features(mean=tuple(size * random.normal(size=1152)), variance=tuple(size * random.random(1152)))
    feature_plot("rgb, train split", "train", features, slice(0, 1024))
    assert not unreadable


def details(probability: float, videos: int) -> Details:
    metrics, findings = VideoMetrics(3, 5), Findings()
    seen = np.full((videos, 3), probability), np.eye(3)[np.arange(videos) % 3], [b"%d" % n for n in range(videos)]
    metrics.update(*seen)
    findings.update(*seen)
    return Details.of(metrics, findings, threshold=0.25)


@pytest.mark.parametrize("probability", [0, 0.4, 1, math.nan])
@pytest.mark.parametrize("champion", [None, 0.9])
def test_curves_of_an_evaluation_are_readable(unreadable, probability, champion):
    overall = Slice(feature="", name="", videos=4, scores={"precision": probability, "recall": 0.5}, intervals={})
    verdict = Verdict(
        blessed=True,
        reasons=[],
        slices=[overall],
        details=details(probability, 4),
        champion_version="17" if champion else "",
        champion_details=details(champion, 4) if champion else None,
    )
    plots = plot_curves(verdict)
    assert len(plots) == 3 and not unreadable


def trial(number: int, score: float, **values: Any) -> TrialResult:
    return TrialResult(
        id=str(number),
        status="COMPLETED",
        values={key.replace("__", "."): value for key, value in values.items()},
        scores={"val_gap": score, "val_f1": score, "val_loss": 1 - score},
        reason="",
        epochs=1,
        stopped_by="max_epochs",
        seconds=1.0,
        parameters=10,
    )


UNITS = [[], [512], [2304, 1152], [6000, 3000, 1500, 750]]
TRIALS = {
    "one": [trial(0, 0.5, learning_rate=0.001)],
    "equal": [trial(number, 0.5, learning_rate=0.001) for number in range(5)],
    "many": [
        trial(number, number / 60, learning_rate=10 ** (-number / 12), units=UNITS[number % 4], gating=number > 30)
        for number in range(60)
    ],
    "long names": [
        trial(number, 0.5, model__encoder__number_of_units=8, training__number_of_units=number, name="attention" * 9)
        for number in range(3)
    ],
}


@pytest.mark.parametrize("trials", TRIALS.values(), ids=TRIALS)
def test_plots_of_a_search_are_readable(unreadable, trials):
    result = SearchResult(objective="val_gap", oracle="random", trials=tuple(trials))
    page = trials_page(result, "netvlad", None, {})
    assert page.count("<svg") == 1 + len(trials[0].values)
    assert not unreadable
