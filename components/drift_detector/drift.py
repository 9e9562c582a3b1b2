"""How far training data have drifted from those of the model that serves, in numbers and in words."""

import math
from statistics import NormalDist

import numpy as np
from apache_beam.io.filesystems import FileSystems
from pydantic import BaseModel

from components.dataset_statistics.agreement import (
    SIGNIFICANCE,
    LabelDifference,
    agreement,
    distance_by_chance,
    jensen_shannon,
)
from components.dataset_statistics.moments import CODE_STEP
from components.dataset_statistics.statistics import Distribution, Features, Statistics
from components.drift_detector.settings import DriftSettings
from components.example_gen.splits import SPLITS
from models.errors import plural
from models.features import RGB_WIDTH

DRIFT = "drift.json"

# Labels that a sentence names.
NAMED = 3

# The two sides of the comparison, as `agreement` calls its splits.
BEFORE, NOW = "before", "now"


class Measure(BaseModel, frozen=True):
    """One comparison; a value above both the limit and what chance explains is drift."""

    name: str
    value: float
    limit: float
    by_chance: float

    @property
    def drifted(self) -> bool:
        """Whether the value is above the limit and above what chance explains."""
        return self.value > max(self.limit, self.by_chance)


class FeatureShift(BaseModel, frozen=True):
    """Shift of a feature's mean, in its standard deviations before; `name` is say `rgb 17`."""

    name: str
    before: float
    now: float
    shift: float


class Drift(BaseModel, frozen=True):
    """A run's training data against those of the model that serves.

    Where nothing was compared `not_compared` is the reason and all else is empty. `appeared` and `vanished` are labels
    that only one side has, by more than chance explains; `shifted` lists the features with the largest shifts.
    """

    version: str
    not_compared: str = ""
    measures: tuple[Measure, ...] = ()
    appeared: tuple[LabelDifference, ...] = ()
    vanished: tuple[LabelDifference, ...] = ()
    shifted: tuple[FeatureShift, ...] = ()

    @property
    def findings(self) -> list[str]:
        """A sentence for each drift; empty where there is none."""
        sentences = [
            f"{measure.name}: {measure.value:.3f}, allowed {measure.limit:g}, by chance up to {measure.by_chance:.3f}"
            for measure in self.measures
            if measure.drifted
        ]
        for verb, labels in (("appeared", self.appeared), ("vanished", self.vanished)):
            if labels:
                named = ", ".join(
                    f"{label.name} ({label.share or label.share_elsewhere:.2%} of the videos)"
                    for label in labels[:NAMED]
                )
                more = ", ..." if len(labels) > NAMED else ""
                sentences.append(f"{plural(len(labels), 'label')} {verb}: {named}{more}")
        return sentences

    def describe(self) -> list[str]:
        """The findings, or why there are none."""
        if self.not_compared:
            return [self.not_compared]
        return self.findings or [f"no drift from the training data of version {self.version}, which serves"]

    @classmethod
    def read(cls, uri: str) -> "Drift":
        """Reads `drift.json` of a folder."""
        with FileSystems.open(f"{uri}/{DRIFT}") as file:
            return cls.model_validate_json(file.read())

    def write(self, uri: str) -> None:
        """Writes `drift.json` into a folder."""
        with FileSystems.create(f"{uri}/{DRIFT}") as file:
            file.write(self.model_dump_json(indent=1).encode())


def compare(before: Statistics, now: Statistics, version: str, settings: DriftSettings) -> Drift:
    """Compares the training splits of two data sets of the same labels and level.

    Args:
        before: statistics of the data of the model that serves.
        now: statistics of the run's data.
        version: of the model that serves.
        settings: the limits.
    """
    old, new = before.splits[SPLITS[0]], now.splits[SPLITS[0]]
    if not old.videos or not new.videos:
        return Drift(version=version, not_compared="a training split without videos: nothing to compare")
    frequencies = {BEFORE: np.array(old.label_frequency), NOW: np.array(new.label_frequency)}
    labels = agreement(frequencies, {BEFORE: old.videos, NOW: new.videos}, now.names)
    [distance] = labels.distances
    changed = [difference for difference in labels.differences if difference.split == NOW]
    measures = [
        Measure(
            name="distance of the labels",
            value=distance.distance,
            limit=settings.label_distance,
            by_chance=distance.chance_limit,
        )
    ]
    if old.frames_a_video and new.frames_a_video:
        measures.append(_frames(old.frames_a_video, new.frames_a_video, settings.frame_distance))
    assert old.features and new.features  # splits with videos have them
    shifts = _shifts(old.features, new.features)
    measures.append(
        Measure(
            name=f"shift of the mean of {shifts[0].name}",
            value=shifts[0].shift,
            limit=settings.feature_shift,
            by_chance=shift_by_chance(old.videos, new.videos, len(shifts)),
        )
    )
    return Drift(
        version=version,
        measures=tuple(measures),
        appeared=tuple(label for label in changed if not label.share_elsewhere),
        vanished=tuple(label for label in changed if not label.share),
        shifted=tuple(shifts[: 2 * NAMED]),
    )


def shift_by_chance(before: int, now: int, features: int) -> float:
    """The largest shift of a mean, in standard deviations, that two samples of the same videos have by chance.

    Frames of a video resemble each other, so each video counts as one observation: the limit is rather too high than
    too low. It holds from a few hundred videos on; with a hundred the tails of Student's t are 2.6 times as heavy.

    Args:
        before: number of videos of the model that serves.
        now: number of videos of the run.
        features: number of compared features (Bonferroni's correction).
    """
    return NormalDist().inv_cdf(1 - SIGNIFICANCE / (2 * features)) * math.sqrt(1 / before + 1 / now)


def _frames(before: Distribution, now: Distribution, limit: float) -> Measure:
    length = max(len(before.counts), len(now.counts))
    old, new = (np.pad(np.array(side.counts), (0, length - len(side.counts))) for side in (before, now))
    _, by_chance = distance_by_chance(old + new, int(old.sum()), int(new.sum()))
    distance = jensen_shannon(old, new)
    return Measure(name="distance of the numbers of frames", value=distance, limit=limit, by_chance=by_chance)


def _shifts(before: Features, now: Features) -> list[FeatureShift]:
    """Shifts of all features, largest first; that of a feature that hardly varies is in steps of the quantization."""
    old, new = np.array(before.mean), np.array(now.mean)
    shifts = np.abs(new - old) / np.maximum(np.sqrt(before.variance), CODE_STEP)
    return [
        FeatureShift(
            name=f"rgb {index}" if index < RGB_WIDTH else f"audio {index - RGB_WIDTH}",
            before=before.mean[index],
            now=now.mean[index],
            shift=float(shifts[index]),
        )
        for index in np.argsort(-shifts, kind="stable").tolist()
    ]
