"""The result of a search, read from its folder."""

import json
from pathlib import Path
from typing import Any

from keras_tuner.src.engine.trial import Trial
from pydantic import BaseModel

from models.errors import InputError, plural
from tuner.hyperparameters import active_values
from tuner.search_folder import read_log
from tuner.settings import TuneSettings


class TrialResult(BaseModel, frozen=True):
    """A trial.

    Attributes:
        id: KerasTuner's name of the trial.
        status: KerasTuner's, such as COMPLETED or FAILED.
        values: by the key of the setting.
        scores: val_gap, val_f1 and val_loss; empty if the trial failed.
        reason: of the failure; "" if there was none.
        epochs: number of epochs that were trained.
        stopped_by: what ended the training, see `TrainingLog`; "" if the trial failed.
        seconds: wall time of the epochs.
        parameters: number of the model's parameters.
    """

    id: str
    status: str
    values: dict[str, Any]
    scores: dict[str, float]
    reason: str
    epochs: int
    stopped_by: str
    seconds: float
    parameters: int


class SearchResult(BaseModel, frozen=True):
    """All trials of a search in the order of their start; at least one is scored."""

    objective: str
    oracle: str
    trials: tuple[TrialResult, ...]

    @property
    def winner(self) -> TrialResult:
        """The best trial."""
        return self.ranked[0]

    def describe(self) -> str:
        """One line: the number of trials, and the values of the best."""
        scored = sum(bool(trial.scores) for trial in self.trials)
        values = ", ".join(f"{key} {value}" for key, value in self.winner.values.items())
        score = self.winner.scores[self.objective]
        return f"{scored} of {plural(len(self.trials), 'trial')} scored, best {self.objective} {score:.4f}: {values}"

    @property
    def minimized(self) -> bool:
        """Whether a lower objective is better."""
        return self.objective == "val_loss"

    @property
    def ranked(self) -> list[TrialResult]:
        """The scored trials, the best first, then the others."""
        scored = [trial for trial in self.trials if trial.scores]
        scored.sort(key=lambda trial: trial.scores[self.objective], reverse=not self.minimized)
        return [*scored, *(trial for trial in self.trials if not trial.scores)]


def read_search(folder: Path, settings: TuneSettings) -> SearchResult:
    """Reads the trials in a search's folder.

    Args:
        folder: of the search.
        settings: of the search.

    Raises:
        InputError: there is no scored trial.
    """
    trials = []
    for path in sorted(folder.glob("trial_*/trial.json")):
        trial, log = Trial.from_state(json.loads(path.read_text())), read_log(path.parent)
        names = ("val_gap", "val_f1", "val_loss") if trial.score is not None else ()
        trials.append(
            TrialResult(
                id=trial.trial_id,
                status=trial.status,
                values=active_values(trial.hyperparameters),
                scores={name: trial.metrics.get_best_value(name) for name in names},
                reason=trial.message or "",
                epochs=len(log.epochs) if log else 0,
                stopped_by=(log.stopped_by or "") if log else "",
                seconds=log.seconds if log else 0.0,
                parameters=log.parameters if log else 0,
            )
        )
    if not any(trial.scores for trial in trials):
        raise InputError(f"{folder} holds no scored trial")
    return SearchResult(objective=settings.objective, oracle=settings.oracle, trials=tuple(trials))
