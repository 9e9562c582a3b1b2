"""The data sets of runs, and what scores on them can be compared with."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from string import ascii_uppercase

from models.features import Level, TrainingLevel
from pipeline.reports.thesis.runs import Run

SPLITS = ("train", "validation", "test")

# Videos of the thesis' splits. Video level: table 2, whose columns are shifted by one (its "train" counts all published
# training videos, of which section 4.1 trains on 80 %); the test split is the published validation part. Frame level:
# table 3.
THESIS_VIDEOS: Mapping[Level, Mapping[str, int]] = {
    "video": {"train": 3_111_135, "validation": 777_784, "test": 1_112_356},
    "frame": {"train": 1_181_805, "validation": 159_991, "test": 160_908},
}


@dataclass(frozen=True)
class DataSet:
    """Data and split that runs share.

    Attributes:
        name: a letter, or several equal ones after Z.
        videos: by split, the least and the most of all runs; the files of a split depend on the seed.
    """

    name: str
    level: TrainingLevel
    pattern: str
    validation_data: str
    test_data: str
    split: str
    synthetic: bool
    videos: Mapping[str, tuple[int, int]]

    @property
    def share(self) -> float:
        """Training videos as a fraction of the thesis'; 0 for segments, of which it has none."""
        return 0.0 if self.level == "segment" else self.videos["train"][1] / THESIS_VIDEOS[self.level]["train"]

    @property
    def short(self) -> str:
        """Name and kind, for a table line."""
        real = "segments" if self.level == "segment" else percent(self.share) if self.share < 1 else "full size"
        kind = "synthetic" if self.synthetic else real
        return f"{self.name} ({kind})"

    @property
    def words(self) -> str:
        """A sentence on what the scores on these data can be compared with."""
        if self.synthetic:
            return "synthetic data: generated, the scores say nothing about real videos"
        if self.level == "segment":
            return "rated segments: the scores are of five seconds each, the thesis has none"
        most, published = self.videos["train"][1], THESIS_VIDEOS[self.level]["train"]
        if self.share < 1:
            return f"a sample: {most:,} of {published:,} training videos ({percent(self.share)})"
        return f"as many training videos as in the thesis: {most:,}, there {published:,}"

    def count(self, split: str) -> str:
        """Videos of a split, as a range where runs differ."""
        least, most = self.videos[split]
        return f"{most:,}" if least == most else f"{least:,} to {most:,}"


def data_sets(runs: Iterable[Run]) -> dict[str, DataSet]:
    """The data set of each run, by the run's name; named in order: real before synthetic, more videos first."""
    groups: dict[tuple[TrainingLevel, str, str, str, str, bool], list[Run]] = {}
    for run in runs:
        data = run.settings.data
        patterns = (data.pattern, data.validation_data, data.test_data)
        key = (run.settings.level, *patterns, data.split, run.scores.synthetic)
        groups.setdefault(key, []).append(run)
    entries = []
    for key, members in groups.items():
        # An ensemble trains on the validation split; its members were trained on the training split.
        trained = [run for run in members if run.encoder != "ensemble"] or members
        counts = {
            "train": [run.train_videos for run in trained],
            "validation": [run.scores.splits.validation.videos for run in members],
            "test": [run.scores.splits.test.videos for run in members],
        }
        videos = {split: (min(numbers), max(numbers)) for split, numbers in counts.items()}
        entries.append((key, videos, members))
    entries.sort(key=lambda entry: (entry[0][-1], -entry[1]["train"][1], entry[0]))
    by_run = {}
    for number, (key, videos, members) in enumerate(entries):
        # A to Z, then AA to ZZ.
        name = ascii_uppercase[number % 26] * (number // 26 + 1)
        for run in members:
            by_run[run.name] = DataSet(name, *key, videos=videos)
    return by_run


def percent(share: float) -> str:
    """A percentage with three digits; below 1 never rounded up to 100%."""
    return f"{min(100 * share, 99.9) if share < 1 else 100 * share:.3g}%"
