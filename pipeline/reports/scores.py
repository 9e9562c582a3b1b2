"""What a run scored: scores.json in its folder, written and read by one class."""

import json
from typing import TYPE_CHECKING, Self

from pydantic import BaseModel, ConfigDict

from models.features import Level
from models.training.log import TrainingLog

if TYPE_CHECKING:  # imports TFMA, which takes seconds
    from components.evaluator.verdict import Verdict

SCORES_FILE = "scores.json"


class SplitScores(BaseModel):
    """Videos and scores of one split, and where they were measured; the test split alone has all scores.

    Attributes:
        intervals: the low and the high end of the 95 % intervals of some scores, by the score's name.
    """

    model_config = ConfigDict(frozen=True)

    videos: int
    f1: float
    precision: float | None = None
    recall: float | None = None
    macro_f1: float | None = None
    macro_precision: float | None = None
    macro_recall: float | None = None
    gap: float | None = None
    map: float | None = None
    map_official: float | None = None
    perr: float | None = None
    hit_at_1: float | None = None
    ece: float | None = None
    f1_at_threshold: float | None = None
    map_at_k: float | None = None
    map_at_k_rated: float | None = None
    intervals: dict[str, tuple[float, float]] = {}
    source: str = ""


class Splits(BaseModel):
    """The three splits; iterating gives the name and the scores of each."""

    model_config = ConfigDict(frozen=True)

    train: SplitScores
    validation: SplitScores
    test: SplitScores

    @classmethod
    def of(cls, log: TrainingLog, verdict: "Verdict") -> Self:
        """Takes train and validation from the best epoch of the log, the test split from the Evaluator's verdict."""
        best = log.epochs[log.best_epoch]
        source = f"training, epoch {best.epoch + 1} of {len(log.epochs)}"
        test = {name: score for name, score in verdict.overall.scores.items() if name in SplitScores.model_fields}
        intervals = {name: (interval.low, interval.high) for name, interval in verdict.overall.intervals.items()}
        return cls(
            train=SplitScores(videos=best.videos, f1=best.f1, source=source),
            validation=SplitScores(videos=log.validation_videos, f1=best.val_f1, source=source),
            test=SplitScores.model_validate(
                {"videos": verdict.overall.videos, **test, "intervals": intervals, "source": "Evaluator"}
            ),
        )


class RunScores(BaseModel):
    """What scores.json holds; the log of a run on Kubeflow Pipelines has `synthetic` and `splits` alone.

    Attributes:
        experiment: its name.
        data: pattern of the raw shards.
        level: of the records.
        synthetic: whether the videos are synthetic.
        model_version: the version that serves; None where none does.
        blessed: whether this run's model was blessed.
        splits: scores by split.
    """

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    experiment: str = ""
    data: str = ""
    level: Level | None = None
    synthetic: bool
    model_version: str | None = None
    blessed: bool | None = None
    splits: Splits

    def to_json(self) -> str:
        """The content of scores.json; a score may be NaN."""
        return json.dumps(self.model_dump(exclude_unset=True), indent=1)
