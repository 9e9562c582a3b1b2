"""What a model must reach to be pushed: thresholds by metric and slice."""

import re
from dataclasses import dataclass
from typing import Any

from models.errors import InputError
from models.metrics.video_metrics import ALL_SCORES
from models.vocabulary import Vocabulary

# The only score that is better the lower it is.
LOWER_IS_BETTER = "ece"

# The F1 of a group of labels, see `label_groups`.
GROUP = re.compile(r"f1/(?:head|middle|tail|(?P<kind>vertical|label):(?P<name>.+))", re.DOTALL)


@dataclass(frozen=True)
class Requirement:
    """Bounds of a score on all test videos or on those of a slice; None where there is none.

    Attributes:
        metric: a name of `ALL_SCORES`, or `f1/<group of labels>`.
        feature, value: of the slice; empty for all videos.
        min, max: of the score.
        min_change: to the champion's score, for the better.
    """

    metric: str
    feature: str = ""
    value: str = ""
    min: float | None = None
    max: float | None = None
    min_change: float | None = None

    @property
    def key(self) -> str:
        """The key of the threshold in the settings."""
        return f"{self.metric}@{self.feature}:{self.value}" if self.feature else self.metric

    @property
    def where(self) -> str:
        """The slice in words, "" for all videos."""
        return f" where {self.feature} is {self.value}" if self.feature else ""


def parse_requirements(thresholds: dict[str, dict[str, float | None]]) -> list[Requirement]:
    """Reads `evaluation.thresholds`: bounds by `METRIC`, or by `METRIC@FEATURE:VALUE` for a slice.

    Raises:
        InputError: there is no such metric, or a slice has another form.
    """
    requirements = []
    for key, bounds in thresholds.items():
        metric, at, part = key.partition("@")
        feature, colon, value = part.partition(":")
        if metric not in ALL_SCORES and not GROUP.fullmatch(metric):
            groups = "f1/head, f1/middle, f1/tail, f1/vertical:NAME, f1/label:NAME"
            raise InputError(f"there is no metric {metric!r}, allowed: {', '.join(ALL_SCORES)}, {groups}")
        if at and not (feature and colon and value):
            raise InputError(f"{key!r} has no valid slice, expected METRIC@FEATURE:VALUE, say f1@num_labels:1")
        requirements.append(Requirement(metric, feature, value, **bounds))
    return requirements


def require_labels(requirements: list[Requirement], vocabulary: Vocabulary) -> None:
    """Checks that the labels in requirements exist.

    Raises:
        InputError: the vocabulary has no label or vertical of a name.
    """
    named = {"label": set(vocabulary.names), "vertical": set(vocabulary.verticals) - {""}}
    for requirement in requirements:
        group = GROUP.fullmatch(requirement.metric)
        if group and group["kind"] and group["name"] not in named[group["kind"]]:
            missing = f"the vocabulary has no {group['kind']} {group['name']!r}"
            raise InputError(f"evaluation.thresholds: {requirement.metric!r}: {missing}")


def tfma_thresholds(requirements: list[Requirement]) -> dict[str, Any]:
    """The requirements as `per_slice_thresholds` of TFMA's MetricsSpec; its `thresholds` would bind every slice."""
    # TFX decides only where there is a value to reach; this one rejects a model whose F1 is not a number.
    by_metric = {"f1": [_entry({}, {"value_threshold": {"lower_bound": 0.0}})]}
    for requirement in requirements:
        threshold: dict[str, Any] = {}
        bounds = {"lower_bound": requirement.min, "upper_bound": requirement.max}
        if value_threshold := {name: bound for name, bound in bounds.items() if bound is not None}:
            threshold["value_threshold"] = value_threshold
        if (change := requirement.min_change) is not None:
            lower = requirement.metric == LOWER_IS_BETTER
            direction = "LOWER_IS_BETTER" if lower else "HIGHER_IS_BETTER"
            threshold["change_threshold"] = {"direction": direction, "absolute": -change if lower else change}
        values = {requirement.feature: requirement.value} if requirement.feature else {}
        by_metric.setdefault(requirement.metric, []).append(_entry(values, threshold))
    return {"per_slice_thresholds": {metric: {"thresholds": entries} for metric, entries in by_metric.items()}}


def _entry(feature_values: dict[str, str], threshold: dict[str, Any]) -> dict[str, Any]:
    slicing = {"feature_values": feature_values} if feature_values else {}
    return {"slicing_specs": [slicing], "threshold": threshold}
