"""KerasTuner's oracles, able to resume after a kill at any moment."""

import json
import os
from collections.abc import Mapping
from typing import Any

import keras_tuner
import tensorflow as tf
from keras_tuner.src.engine.trial import Trial, TrialStatus
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from tuner.hyperparameters import hyperparameters
from tuner.settings import TuneSettings

ENDED = (TrialStatus.COMPLETED, TrialStatus.FAILED)


class _ResumableOracle(keras_tuner.Oracle):
    """Saves atomically; after a kill, resumes the trials that were running and repeats none that had ended."""

    _retry_queue: list[str]
    end_order: list[str]

    def get_best_trials(self, num_trials: int | None = 1) -> list[Trial]:
        """The best scored trials (KerasTuner includes failed ones); None for all, as TFX calls it for Hyperband."""
        best = super().get_best_trials(len(self.trials) if num_trials is None else num_trials)
        return [trial for trial in best if trial.status == TrialStatus.COMPLETED]

    def save(self) -> None:
        """Writes the oracle's state, without the trials."""
        _replace(self._get_oracle_fname(), self.get_state())

    def reload(self) -> None:
        """Loads the oracle and its trials, which may differ by one save after a kill."""
        super().reload()
        for name in set(self.trials) - set(self.start_order):
            del self.trials[name]  # saved before the oracle was: it starts again
        ended = [name for name in self._retry_queue if self.trials[name].status in ENDED]
        self._retry_queue = [name for name in self._retry_queue if name not in ended]
        for name in ended:
            self.end_order = [trial for trial in self.end_order if trial != name]
            self.end_trial(self.trials[name])

    def _save_trial(self, trial: Trial) -> None:
        _replace(os.path.join(self._get_trial_dir(trial.trial_id), "trial.json"), trial.get_state())


class RandomSearch(_ResumableOracle, keras_tuner.oracles.RandomSearchOracle):
    """Draws values independently."""


class BayesianOptimization(_ResumableOracle, keras_tuner.oracles.BayesianOptimizationOracle):
    """Gaussian processes and the upper confidence bound (Snoek et al., arXiv 1206.2944; Srinivas et al., 0912.3995)."""

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Proposes the values of a trial, with one BLAS thread.

        On matrices this small, several threads mostly wait for each other (benchmarks/bayesian_oracle.py measures it).
        """
        with threadpool_limits(limits=1, user_api="blas"):
            proposal: dict[str, Any] = super().populate_space(trial_id)
        return proposal


class Hyperband(_ResumableOracle, keras_tuner.oracles.HyperbandOracle):
    """Starts many trials with few epochs and promotes the best to more (Li et al., JMLR 18)."""


class GridSearch(_ResumableOracle, keras_tuner.oracles.GridSearchOracle):
    """Tries every combination; a range without steps has ten values."""

    def reload(self) -> None:
        """Also restores the order, which KerasTuner does not save: each combination depends on the one before."""
        super().reload()
        for name in self.start_order:
            self._ordered_ids.insert(name)
        self._populate_next = self.start_order[-1:]


def build_oracle(settings: TuneSettings, seed: int) -> keras_tuner.Oracle:
    """Builds the oracle of a search.

    Args:
        settings: settings of the search; the space is not empty.
        seed: of the values that are drawn.

    Example:
        >>> space = {"training.patience": {"type": "choice", "values": [1, 3]}}
        >>> build_oracle(TuneSettings.model_validate({"space": space, "oracle": "grid"}), seed=0).max_trials
        20
    """
    common: dict[str, Any] = {
        "objective": keras_tuner.Objective(settings.objective, "min" if settings.objective == "val_loss" else "max"),
        "hyperparameters": hyperparameters(settings.space),
        "allow_new_entries": False,
        "tune_new_entries": False,
        "seed": seed + 1,  # KerasTuner ignores a seed of 0
        # Failed trials do not end the search.
        "max_consecutive_failed_trials": None,
    }
    match settings.oracle:
        case "random":
            return RandomSearch(max_trials=settings.max_trials, **common)
        case "bayesian":
            return BayesianOptimization(max_trials=settings.max_trials, **common)
        case "grid":
            return GridSearch(max_trials=settings.max_trials, **common)
        case "hyperband":
            return Hyperband(max_epochs=settings.max_epochs, factor=settings.factor, **common)


def _replace(path: str, state: Mapping[str, Any]) -> None:
    temporary = f"{path}.{os.getpid()}"
    with tf.io.gfile.GFile(temporary, "w") as file:
        file.write(json.dumps(state))
    tf.io.gfile.rename(temporary, path, overwrite=True)
