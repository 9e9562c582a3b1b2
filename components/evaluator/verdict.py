"""Whether a model was blessed, and why, in words."""

import json
import math
from dataclasses import asdict, dataclass, field

import tensorflow_model_analysis as tfma
from apache_beam.io.filesystems import FileSystems

CANDIDATE, CHAMPION = "candidate", "champion"
METRICS = ("f1", "precision", "recall")


@dataclass(frozen=True)
class Slice:
    """Scores of the videos of one slice; `name` is empty for all videos."""

    feature: str
    name: str
    videos: int
    scores: dict[str, float]


@dataclass(frozen=True)
class Verdict:
    """The Evaluator's decision; `slices` are the candidate's, `champion` the champion's scores on all videos."""

    blessed: bool
    reasons: list[str]
    slices: list[Slice]
    champion_version: str = ""
    champion: dict[str, float] = field(default_factory=dict)

    @property
    def overall(self) -> Slice:
        """Scores on all videos."""
        return next(part for part in self.slices if not part.feature)

    def write(self, uri: str) -> None:
        """Writes verdict.json into the folder of an evaluation."""
        with FileSystems.create(f"{uri}/verdict.json") as file:
            file.write(json.dumps(asdict(self), indent=1).encode())

    @classmethod
    def read(cls, uri: str) -> "Verdict":
        """What `write` left."""
        with FileSystems.open(f"{uri}/verdict.json") as file:
            content = json.load(file)
        return cls(**content | {"slices": [Slice(**part) for part in content["slices"]]})


def judge(evaluation_uri: str, min_f1: float, min_change: float, champion_version: str) -> Verdict:
    """Puts TFMA's results into words.

    Args:
        evaluation_uri: folder that TFMA wrote metrics and validations to.
        min_f1: lowest F1 that TFMA was told to accept.
        min_change: smallest F1 above the champion's that TFMA was told to accept.
        champion_version: the champion's, or "".
    """
    candidate = _slices(evaluation_uri, CANDIDATE if champion_version else "")
    champion = _slices(evaluation_uri, CHAMPION)[0].scores if champion_version else {}
    found = candidate[0].scores["f1"]
    reasons = []
    if math.isnan(found):
        reasons.append("f1 is not a number: the model gives NaN scores")
    else:
        relation = "is at least" if found >= min_f1 else "is below"
        reasons.append(f"f1 {found:.4f} {relation} the required {min_f1:g}")
    if champion_version:
        change = found - champion["f1"]
        relation = "is at least" if change >= min_change else "is below"
        reasons.append(
            f"f1 {found:.4f} against the champion's {champion['f1']:.4f} (version {champion_version}): the change "
            f"{change:+.4f} {relation} the required {min_change:+g}"
        )
    else:
        reasons.append("no other model serves yet, so there is none to compare with")
    blessed = tfma.load_validation_result(evaluation_uri).validation_ok
    return Verdict(blessed, reasons, candidate, champion_version, champion)


def _slices(evaluation_uri: str, model: str) -> list[Slice]:
    """All slices of a model, the one of all videos first."""
    slices = []
    for key, outputs in tfma.load_eval_result(evaluation_uri, model_name=model).slicing_metrics:
        # JSON spells NaN as a string.
        scores = {n: float(value["doubleValue"]) for n, value in outputs[""][""].items() if "doubleValue" in value}
        feature, name = key[0] if key else ("", "")
        videos = int(scores["example_count"])
        slices.append(Slice(feature, str(name), videos, {metric: scores[metric] for metric in METRICS}))
    return sorted(slices, key=lambda part: (part.feature, part.name))
