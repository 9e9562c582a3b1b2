"""The evaluation page: scores, slices, labels and curves."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes

from components.evaluator.details import Details
from components.evaluator.verdict import Slice, Verdict
from components.pages import page_templates
from components.pages.svg import COLOURS, TEXT, svg_plot
from models.features import NUM_FRAMES
from models.metrics.outcomes import CELLS, THRESHOLD, TOP
from models.slices import NUM_LABELS

TITLES = {NUM_LABELS: "By number of labels", NUM_FRAMES: "By number of frames"}

SCORES = {
    "f1": "F1",
    "precision": "precision",
    "recall": "recall",
    "f1_at_threshold": "F1 at the best threshold",
    "gap": f"GAP@{TOP}",
    "map": "mAP, labels that occur",
    "map_official": "mAP, all labels",
    "map_at_k": "MAP@100,000",
    "map_at_k_rated": "MAP@100,000, rated labels",
    "perr": "PERR",
    "hit_at_1": "Hit@1",
    "macro_f1": "macro F1",
    "macro_precision": "macro precision",
    "macro_recall": "macro recall",
    "ece": "calibration error",
}

# Best and worst labels that are listed, and the fewest videos of a label for a score that means something.
LISTED, FEWEST_VIDEOS = 15, 5

# Inches of a plot.
SIZE = (3.3, 2.5)


def evaluation_page(verdict: Verdict, names: Sequence[str], **frame: Any) -> str:
    """The page as HTML.

    Args:
        verdict: the Evaluator's.
        names: label names in the order of their ids.
        **frame: arguments of run.html, see `components.pages`.
    """
    parts = [part for part in verdict.slices if part.feature]
    return (
        page_templates(Path(__file__).parent)
        .get_template("evaluation.html")
        .render(
            verdict=verdict,
            names=names,
            scores={name: title for name, title in SCORES.items() if name in verdict.overall.scores},
            slices={
                TITLES.get(feature, f"By {feature}"): list(group)
                for feature, group in groupby(parts, lambda part: part.feature)
            },
            groups=_groups(verdict.overall),
            labels=_labels(verdict.details),
            plots=plot_curves(verdict),
            fewest_videos=FEWEST_VIDEOS,
            **frame,
        )
    )


def _groups(overall: Slice) -> dict[str, list[tuple[str, float, float | None]]]:
    """Groups of labels by kind: name, F1 and the champion's F1, best first."""
    kinds: dict[str, list[tuple[str, float, float | None]]] = {"By frequency": [], "By vertical": [], "Frequent": []}
    for key, score in overall.scores.items():
        # With a champion TFMA adds differences, say f1/head_diff, which the champion doesn't have.
        if not key.startswith("f1/") or (overall.champion and key not in overall.champion):
            continue
        prefix, colon, name = key.removeprefix("f1/").partition(":")
        kind = {"vertical": "By vertical", "label": "Frequent"}[prefix] if colon else "By frequency"
        kinds[kind].append((name or prefix, score, overall.champion.get(key)))
    return {kind: sorted(rows, key=lambda row: -row[1]) for kind, rows in kinds.items() if rows}


def _labels(details: Details) -> dict[str, list[dict[str, Any]]]:
    """The best and the worst labels with enough videos."""
    rows = []
    counts = zip(details.true_positives, details.predicted, details.actual, strict=True)
    for label, (hits, predicted, actual) in enumerate(counts):
        if actual >= FEWEST_VIDEOS:
            precision = hits / predicted if predicted else 0.0
            f1 = 2 * hits / (predicted + actual)
            rows.append({"label": label, "f1": f1, "precision": precision, "recall": hits / actual, "videos": actual})
    rows.sort(key=lambda row: (-row["f1"], -row["videos"]))
    half = -(-len(rows) // 2)
    best, worst = rows[:half][:LISTED], rows[half:][::-1][:LISTED]
    return {title: listed for title, listed in (("Best labels", best), ("Worst labels", worst)) if listed}


def plot_curves(verdict: Verdict) -> list[Markup]:
    """Precision and recall, F1 by threshold, and calibration, of the model and the champion."""
    if verdict.champion_details:
        models = {"this model": verdict.details, "champion": verdict.champion_details}
    else:
        models = {"": verdict.details}  # needs no legend
    return [
        svg_plot("Precision and recall", _curve_alt_text(verdict), SIZE, lambda axes: _precision_recall(axes, models)),
        svg_plot("F1 by threshold", _threshold_alt_text(verdict), SIZE, lambda axes: _f1(axes, models)),
        svg_plot("Calibration", "Share of correct pairs by probability", SIZE, lambda axes: _calibration(axes, models)),
    ]


def _curve_alt_text(verdict: Verdict) -> str:
    scores = verdict.overall.scores
    return f"Precision against recall; at the threshold 0.5 {scores['precision']:.3f} and {scores['recall']:.3f}"


def _threshold_alt_text(verdict: Verdict) -> str:
    return f"F1 at thresholds from 0 to 1; the best on the validation split is {verdict.details.threshold:.3f}"


def _curve(details: Details) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Precision, recall and F1 at thresholds above 0; undefined precisions are left out of the plot as NaN."""
    hits, predicted = (np.array(counts[1:], float) for counts in (details.hits_above, details.predicted_above))
    actual = sum(details.actual)
    precision = np.divide(hits, predicted, out=np.full_like(hits, np.nan), where=predicted > 0)
    return precision, hits / max(actual, 1), 2 * hits / np.maximum(predicted + actual, 1)


def _precision_recall(axes: Axes, models: dict[str, Details]) -> None:
    middle = round(THRESHOLD * CELLS) - 1
    for colour, (name, details) in zip(COLOURS, models.items(), strict=False):
        precision, recall, _ = _curve(details)
        axes.plot(recall, precision, color=colour, label=name, linewidth=1.5)
        axes.plot(recall[middle], precision[middle], "o", color=colour, markersize=5)
    axes.set_xlabel("recall (the dot: threshold 0.5)")
    axes.set_ylabel("precision")
    _unit_square(axes)


def _f1(axes: Axes, models: dict[str, Details]) -> None:
    thresholds = np.arange(1, CELLS) / CELLS
    for colour, (name, details) in zip(COLOURS, models.items(), strict=False):
        axes.plot(thresholds, _curve(details)[2], color=colour, label=name, linewidth=1.5)
        axes.axvline(details.threshold, color=colour, linestyle="--", linewidth=1, alpha=0.7)
    axes.set_xlabel("threshold (dashed: best on validation)")
    axes.set_ylabel("F1")
    _unit_square(axes)


def _calibration(axes: Axes, models: dict[str, Details]) -> None:
    axes.plot([0, 1], [0, 1], color=TEXT, linestyle=":", linewidth=1)
    for colour, (name, details) in zip(COLOURS, models.items(), strict=False):
        used = np.array(details.pairs) > 0
        confidence, accuracy = np.array(details.confidence)[used], np.array(details.accuracy)[used]
        axes.plot(confidence, accuracy, color=colour, label=name, marker="o", markersize=3, linewidth=1.5)
    axes.set_xlabel("probability (mean of a bin)")
    axes.set_ylabel("share that is correct")
    _unit_square(axes)


def _unit_square(axes: Axes) -> None:
    axes.set_xlim(0, 1.01)
    axes.set_ylim(0, 1.01)
