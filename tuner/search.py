"""The search: trains a model for each trial that the oracle proposes, and records the scores."""

import logging
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import keras_tuner
from keras_tuner.src.distribute.utils import has_chief_oracle, is_chief_oracle
from keras_tuner.src.engine.base_tuner import BaseTuner
from keras_tuner.src.engine.trial import Trial, TrialStatus

from models.errors import InputError, plural
from models.input.batches import Batches
from models.metrics.scoring import score
from models.settings import ModelSettings
from models.training.log import TrainingLog
from models.training.train import train
from models.training.xla import decide_xla
from models.training_settings import TrainingSettings
from models.whole_files import write_file
from tuner.hyperparameters import active_values, with_values
from tuner.median_stopping import is_hopeless
from tuner.oracles import build_oracle
from tuner.search_folder import CHECKPOINT, FINISHED, TRIAL_LOG, read_logs
from tuner.settings import TuneSettings

TrainingData = tuple[Callable[[int], Batches], Batches]

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Task:
    """The parts that all trials of a search share.

    Attributes:
        model: settings of the model, before a trial's values are applied.
        training: settings of the training, before a trial's values are applied.
        build: builds a model from its settings.
        data: returns a function from an epoch's number to its batches, and the batches of the validation split.
        seed: of the oracle and of each trial's training.
        rated: whether rated segments are learned from.
    """

    model: ModelSettings
    training: TrainingSettings
    build: Callable[[ModelSettings], keras.Model]
    data: Callable[[ModelSettings, TrainingSettings], TrainingData]
    seed: int
    rated: bool = False


class Search(BaseTuner):
    """A KerasTuner tuner that resumes a killed search from its folder, even in the middle of a trial.

    A trial that fails (out of memory, loss not finite, values that are not allowed together) is recorded with the
    reason, and the search continues. A trial's objective is measured at the epoch with the lowest validation loss,
    whose weights training keeps.

    Args:
        task: the parts that all trials share.
        settings: settings of the search; the space is not empty.
        folder: used by this search alone.

    Example:
        >>> import tempfile
        >>> import tensorflow as tf
        >>> from models.video_classifier import build_video_classifier
        >>> batches = tf.data.Dataset.from_tensors(({"mean": tf.ones((8, 1152))}, tf.ones((8, 2))))
        >>> task = Task(
        ...     model=ModelSettings.model_validate({"encoder": {"name": "average"}}),
        ...     training=TrainingSettings(),
        ...     build=lambda settings: build_video_classifier(settings, classes=2, seed=0),
        ...     data=lambda model, training: (lambda epoch: batches, batches),
        ...     seed=0,
        ... )
        >>> space = {"training.learning_rate": {"type": "choice", "values": [0.01, 0.1]}}
        >>> content = {"space": space, "max_trials": 2, "max_epochs": 1, "objective": "val_loss"}
        >>> settings = TuneSettings.model_validate(content)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     search = Search(task, settings, Path(folder, "search"))
        ...     search.search()
        >>> search.oracle.get_best_trials()[0].hyperparameters.values
        {'training.learning_rate': 0.1}
    """

    def __init__(self, task: Task, settings: TuneSettings, folder: Path) -> None:
        self._task, self.settings = task, settings
        self._reasons: dict[str, str] = {}
        oracle = build_oracle(settings, task.seed)
        # Before the search is loaded: KerasTuner's display fails at the end of a trial that it did not start.
        oracle.verbose = 0
        super().__init__(oracle, directory=folder.parent, project_name=folder.name)

    def search(self, *fit_args: Any, **fit_kwargs: Any) -> None:
        """Runs trials until the oracle has no more; a chief serves the oracle to workers instead."""
        super().search(*fit_args, **fit_kwargs)
        if is_chief_oracle():  # KerasTuner does not call it for a chief
            self.on_search_end()

    def pre_create_trial(self) -> None:
        """Makes a worker wait 0.1 s, because KerasTuner asks again at once while the oracle has no trial for it."""
        if is_worker():
            time.sleep(0.1)

    def run_trial(self, trial: Trial) -> dict[str, float]:
        """Trains a trial's model; returns val_gap, val_f1 and val_loss."""
        values, folder = active_values(trial.hyperparameters), Path(self.get_trial_dir(trial.trial_id))
        _logger.info("trial %s: %s", trial.trial_id, ", ".join(f"{key} {value}" for key, value in values.items()))
        try:
            return self._train(trial.hyperparameters, values, folder)
        except Exception as error:
            self._reasons[trial.trial_id] = _reason(error)
            raise

    def on_trial_end(self, trial: Trial) -> None:
        """Reports the end to the oracle; removes the checkpoint, which is large, unless the trial may be promoted."""
        if trial.status != TrialStatus.COMPLETED:
            trial.message = self._reasons.get(trial.trial_id, trial.message)
            _logger.info("trial %s failed: %s", trial.trial_id, trial.message)
        super().on_trial_end(trial)
        if trial.status == TrialStatus.COMPLETED:
            scored = self.oracle.get_trial(trial.trial_id)
            _logger.info("trial %s: %s %.4f", trial.trial_id, self.settings.objective, scored.score)
        values = trial.hyperparameters.values
        # A bracket's last round has the bracket's number; Hyperband promotes only trials of earlier rounds.
        last_round = values.get("tuner/round", 0) == values.get("tuner/bracket", 0)
        if last_round or trial.status != TrialStatus.COMPLETED:
            shutil.rmtree(self._checkpoint(trial.trial_id), ignore_errors=True)

    def fail_trial(self, trial: Trial, reason: str) -> None:
        """Ends a trial as failed after its worker crashed."""
        self._reasons[trial.trial_id] = reason
        trial.status = TrialStatus.FAILED
        self.on_trial_end(trial)

    def on_search_end(self) -> None:
        """Marks the search as finished and removes the checkpoints.

        Raises:
            InputError: no trial was scored; the message has the first failure's reason.
        """
        if is_worker():
            return
        for trial_id in self.oracle.trials:
            shutil.rmtree(self._checkpoint(trial_id), ignore_errors=True)
        if not self.oracle.get_best_trials():
            reasons = [trial.message for trial in self.oracle.trials.values() if trial.message]
            failed, first = plural(len(reasons), "trial"), next(iter(reasons), "no trial was run")
            raise InputError(f"{failed} failed and none succeeded, the first: {first}")
        Path(self.project_dir, FINISHED).touch()

    def _train(
        self, hyperparameters: keras_tuner.HyperParameters, values: dict[str, Any], folder: Path
    ) -> dict[str, float]:
        keras.backend.clear_session()  # frees the memory of the previous trial
        settings, task = self.settings, self._task
        model_settings, training = with_values(task.model, task.training, values)
        # Hyperband sets the number of epochs, and the trial whose training this one continues.
        self._move_checkpoint(hyperparameters.values.get("tuner/trial_id"), folder)
        epochs = hyperparameters.values.get("tuner/epochs", settings.max_epochs)
        training = decide_xla(training.model_copy(update={"max_epochs": epochs}), model_settings)
        epoch_batches, validation = task.data(model_settings, training)
        model, log = train(
            lambda: task.build(model_settings),
            lambda epoch: epoch_batches(epoch).take(settings.max_batches or -1),
            validation,
            training,
            seed=task.seed,
            checkpoint_dir=folder / CHECKPOINT,
            log_dir=folder / "logs",
            is_hopeless=self._is_hopeless,
            extendable=self.settings.oracle == "hyperband",
            rated=task.rated,
        )
        write_file(folder / TRIAL_LOG, log.to_json())
        best = log.epochs[log.best_epoch]
        gap = score(model, validation, task.rated).scores()["gap"]
        return {"val_gap": gap, "val_f1": best.val_f1, "val_loss": best.val_loss}

    def _is_hopeless(self, log: TrainingLog) -> bool:
        if not self.settings.stop_hopeless or self.settings.oracle == "hyperband":
            return False
        return is_hopeless(log, read_logs(Path(self.project_dir)))

    def _get_tuner_fname(self) -> str:
        # The same file with and without workers, so that a search can resume with more workers or fewer.
        return str(super()._get_tuner_fname() if is_worker() else Path(self.project_dir, "tuner.json"))

    def _move_checkpoint(self, promoted_id: str | None, folder: Path) -> None:
        # Not copied: a trial is promoted at most once.
        if promoted_id and (checkpoint := self._checkpoint(promoted_id)).exists():
            checkpoint.rename(folder / CHECKPOINT)

    def _checkpoint(self, trial_id: str) -> Path:
        return Path(self.get_trial_dir(trial_id)) / CHECKPOINT


def is_worker() -> bool:
    """Whether another process serves the oracle, by environment variables (KERASTUNER_ORACLE_IP and others)."""
    return bool(has_chief_oracle() and not is_chief_oracle())


def _reason(error: Exception) -> str:
    """The reason why a trial failed, on one line."""
    if isinstance(error, InputError):
        return str(error)
    return f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"
