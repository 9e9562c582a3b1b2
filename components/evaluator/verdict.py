"""The verdict on a model: whether it is blessed, why, and its scores."""

import base64
import math
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import tensorflow_model_analysis as tfma
from apache_beam.io.filesystems import FileSystems
from pydantic import BaseModel, ConfigDict

from components.evaluator.constant_prediction import ConstantPrediction
from components.evaluator.details import Details
from components.evaluator.metrics import DETAILS
from components.evaluator.requirements import LOWER_IS_BETTER, Requirement
from models.metrics.bootstrap import interval

CANDIDATE, CHAMPION = "candidate", "champion"

# The scores in which a first model must exceed the constant prediction.
FLOOR = ("gap", "f1_at_threshold")


class Immutable(BaseModel):
    """What cannot be changed once it is made; a score may be NaN."""

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="constants")


class Interval(Immutable):
    """The 95 % interval of a score over other samples of such videos."""

    low: float
    high: float


class Slice(Immutable):
    """Scores of the videos of one slice; `feature` and `name` are empty for all videos.

    Attributes:
        intervals: of F1, GAP, Hit@1 and `f1_at_threshold`.
        champion: the champion's scores on the same videos; empty without a champion.
        changes: intervals of the same scores minus the champion's.
    """

    feature: str
    name: str
    videos: int
    scores: dict[str, float]
    intervals: dict[str, Interval]
    champion: dict[str, float] = {}
    changes: dict[str, Interval] = {}


class Verdict(Immutable):
    """The Evaluator's decision and scores; `slices[0]` is of all videos, and so are the `details`.

    Attributes:
        constant: scores of the constant prediction on all videos; empty where the model needn't exceed them.
    """

    blessed: bool
    reasons: list[str]
    slices: list[Slice]
    details: Details
    champion_version: str = ""
    champion_details: Details | None = None
    constant: dict[str, float] = {}

    @property
    def overall(self) -> Slice:
        """Scores on all videos."""
        return self.slices[0]

    def write(self, uri: str) -> None:
        """Writes verdict.json into the folder of an evaluation."""
        with FileSystems.create(f"{uri}/verdict.json") as file:
            file.write(self.model_dump_json().encode())

    @classmethod
    def read(cls, uri: str) -> Self:
        """Reads verdict.json of an evaluation."""
        with FileSystems.open(f"{uri}/verdict.json") as file:
            return cls.model_validate_json(file.read())


def judge(
    evaluation_uri: str,
    requirements: list[Requirement],
    slices_by: Sequence[str],
    champion_version: str,
    floor: ConstantPrediction | None,
) -> Verdict:
    """Puts TFMA's results into words.

    Args:
        evaluation_uri: folder with TFMA's metrics and validations.
        requirements: of the candidate, the same that TFMA checked.
        slices_by: features that the user wants slices by.
        champion_version: version of the champion, or "".
        floor: whose scores the candidate must exceed, if any.
    """
    candidate = _results(evaluation_uri, CANDIDATE if champion_version else "")
    champion = _results(evaluation_uri, CHAMPION) if champion_version else {}
    slices = [_slice(key, *results, champion.get(key)) for key, results in sorted(candidate.items())]
    reasons = [reason for requirement in requirements for reason in _reasons(requirement, slices, champion_version)]
    for feature in sorted(set(slices_by) - {part.feature for part in slices}):
        reasons.append(f"evaluation.slices: no test video has a feature {feature!r}")
    if not champion_version:
        reasons.append("no other model serves yet, so there is none to compare with")
    scores, details = slices[0].scores, candidate["", ""][1]
    constant = floor.scores(slices[0].videos, details.actual) if floor else {}
    above = {name: scores[name] > constant[name] for name in FLOOR if constant}
    for name, is_above in above.items():
        relation = "is above" if is_above else "is not above"
        reasons.append(
            f"{name} {scores[name]:.4f} {relation} {constant[name]:.4f}, that of the training split's label "
            "frequencies predicted for every video"
        )
    return Verdict(
        blessed=tfma.load_validation_result(evaluation_uri).validation_ok and all(above.values()),
        reasons=reasons,
        slices=slices,
        details=details,
        champion_version=champion_version,
        champion_details=champion["", ""][1] if champion else None,
        constant=constant,
    )


Results = dict[tuple[str, str], tuple[dict[str, float], Details]]


def _results(evaluation_uri: str, model: str) -> Results:
    """A model's scores and details by feature and value of the slice."""
    results: Results = {}
    for key, outputs in tfma.load_eval_result(evaluation_uri, model_name=model).slicing_metrics:
        values: dict[str, Any] = outputs[""][""]
        # In JSON NaN is a string.
        scores = {name: float(value["doubleValue"]) for name, value in values.items() if "doubleValue" in value}
        feature, name = key[0] if key else ("", "")
        details = Details.from_bytes(base64.b64decode(values[DETAILS]["bytesValue"]))
        results[feature, str(name)] = scores, details
    return results


def _slice(
    key: tuple[str, str],
    scores: dict[str, float],
    details: Details,
    champion: tuple[dict[str, float], Details] | None,
) -> Slice:
    changes = {}
    if champion:
        for name, replicates in details.replicates.items():
            changes[name] = _interval(np.subtract(replicates, champion[1].replicates[name]))
    return Slice(
        feature=key[0],
        name=key[1],
        videos=int(scores["example_count"]),
        scores={name: score for name, score in scores.items() if name != "example_count"},
        intervals={name: _interval(np.array(replicates)) for name, replicates in details.replicates.items()},
        champion={name: score for name, score in champion[0].items() if name != "example_count"} if champion else {},
        changes=changes,
    )


def _interval(replicates: np.ndarray) -> Interval:
    low, high = interval(replicates)
    return Interval(low=low, high=high)


def _reasons(requirement: Requirement, slices: list[Slice], champion_version: str) -> list[str]:
    """Whether a requirement is met, in words."""
    metric, where = requirement.metric, requirement.where
    key = (requirement.feature, requirement.value)
    part = next((part for part in slices if (part.feature, part.name) == key), None)
    if part is None:
        return [f"no test video{where}: {metric} cannot be checked there"]
    score = part.scores.get(metric)
    if score is None:
        return [f"there is no score {metric}{where}"]
    if math.isnan(score):
        return [f"{metric}{where} is not a number: the model gives NaN scores"]
    reasons = []
    if requirement.min is not None:
        relation = "is at least" if score >= requirement.min else "is below"
        reasons.append(f"{metric} {score:.4f}{where} {relation} the required {requirement.min:g}")
    if requirement.max is not None:
        relation = "is at most" if score <= requirement.max else "is above"
        reasons.append(f"{metric} {score:.4f}{where} {relation} the allowed {requirement.max:g}")
    if requirement.min_change is not None and champion_version:
        reasons.append(_change(requirement, part, champion_version))
    return reasons


def _change(requirement: Requirement, part: Slice, version: str) -> str:
    metric = requirement.metric
    score, champion = part.scores[metric], part.champion.get(metric)
    if champion is None:
        return f"the champion has no {metric}{requirement.where} to compare with"
    change = champion - score if metric == LOWER_IS_BETTER else score - champion
    assert requirement.min_change is not None
    relation = "is at least" if change >= requirement.min_change else "is below"
    text = (
        f"{metric} {score:.4f}{requirement.where} against the champion's {champion:.4f} (version {version}): the "
        f"change {change:+.4f} {relation} the required {requirement.min_change:+g}"
    )
    if metric not in part.changes:
        return text
    noise = part.changes[metric]
    within = "within" if noise.low <= 0 <= noise.high else "beyond"
    return f"{text}; it is {within} noise (95% interval {noise.low:+.4f} to {noise.high:+.4f})"
