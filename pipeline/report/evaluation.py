"""The page about the test split: all of it, its slices, and what serves now."""

from itertools import groupby
from typing import Any

from components.evaluator.verdict import METRICS, Verdict
from models.features import NUM_FRAMES

TITLES = {"num_labels": "By number of labels", NUM_FRAMES: "By number of frames"}


def evaluation(uri: str) -> dict[str, Any]:
    """The variables of evaluation.html, from the Evaluator's verdict; slices come in the order of their names."""
    verdict = Verdict.read(uri)
    parts = sorted((part for part in verdict.slices if part.feature), key=lambda part: (part.feature, part.name))
    slices = {
        TITLES.get(feature, f"By {feature}"): list(group)
        for feature, group in groupby(parts, lambda part: part.feature)
    }
    return {"verdict": verdict, "metrics": METRICS, "slices": slices}
