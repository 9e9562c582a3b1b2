"""The search: trains a model for each trial that an oracle proposes, and keeps what came of it."""

import logging
import shutil
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import tensorflow as tf
from keras_tuner.src.distribute.utils import has_chief_oracle, is_chief_oracle
from keras_tuner.src.engine.base_tuner import BaseTuner
from keras_tuner.src.engine.trial import Trial, TrialStatus

from models.errors import InputError
from models.metrics.scoring import score
from models.settings import ModelSettings, TrainingSettings
from models.training.log import TrainingLog
from models.training.train import train
from models.whole_files import write_file
from tuner.hyperparameters import chosen, with_values
from tuner.oracles import build_oracle
from tuner.settings import TuneSettings

# The log of a trial's training, in the trial's folder.
TRIAL_LOG = "training_log.json"

# In the search's folder, empty, once it has ended.
FINISHED = "finished"

# In the trial's, while the trial runs or may be promoted.
CHECKPOINT = "checkpoint"

# A trial is compared with the others once so many have been trained as long.
FEWEST_TO_COMPARE = 3

Batches = tuple[Callable[[int], tf.data.Dataset], tf.data.Dataset]

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Task:
    """What all trials share.

    Attributes:
        model: settings that a trial's values change.
        training: the same.
        build: makes a model.
        data: gives the batches of an epoch and those of the validation split.
        seed: of the oracle, and of every trial's training.
    """

    model: ModelSettings
    training: TrainingSettings
    build: Callable[[ModelSettings], keras.Model]
    data: Callable[[ModelSettings, TrainingSettings], Batches]
    seed: int


class Search(BaseTuner):
    """A KerasTuner tuner. Killed and begun again with the same folder it goes on, within a trial too.

    A trial that fails (out of memory, loss not finite, values that don't go together) is recorded with its reason and
    the search goes on. The objective is that of the epoch with the lowest validation loss, whose weights the Trainer
    keeps too.

    Args:
        task: what is trained.
        settings: of the search, with a space.
        folder: of the search: one search, one folder.

    Example:
        >>> import tempfile
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
        # Before the search is read: its display knows none of the trials that it would show the end of.
        oracle.verbose = 0
        super().__init__(oracle, directory=folder.parent, project_name=folder.name)

    def search(self, *fit_args: Any, **fit_kwargs: Any) -> None:
        """Runs trials until the oracle has no more; a chief (KERASTUNER_TUNER_ID) serves its oracle until then."""
        super().search(*fit_args, **fit_kwargs)
        if is_chief_oracle():  # KerasTuner forgets it
            self.on_search_end()

    def pre_create_trial(self) -> None:
        """Waits a little: an oracle that has nothing to do for a worker yet is asked again at once."""
        if is_worker():
            time.sleep(0.1)

    def run_trial(self, trial: Trial) -> dict[str, float]:
        """Trains a trial's model; returns val_gap, val_f1 and val_loss."""
        values, folder = chosen(trial.hyperparameters), Path(self.get_trial_dir(trial.trial_id))
        _logger.info("trial %s: %s", trial.trial_id, ", ".join(f"{key} {value}" for key, value in values.items()))
        try:
            return self._train(trial.hyperparameters, values, folder)
        except Exception as error:
            self._reasons[trial.trial_id] = _reason(error)
            raise

    def on_trial_end(self, trial: Trial) -> None:
        """Tells the oracle, and removes the checkpoint, larger than the model, unless the trial may be promoted."""
        if trial.status != TrialStatus.COMPLETED:
            trial.message = self._reasons.get(trial.trial_id, trial.message)
            _logger.info("trial %s failed: %s", trial.trial_id, trial.message)
        super().on_trial_end(trial)
        if trial.status == TrialStatus.COMPLETED:
            ended = self.oracle.get_trial(trial.trial_id)
            _logger.info("trial %s: %s %.4f", trial.trial_id, self.settings.objective, ended.score)
        values = trial.hyperparameters.values
        # A bracket has a round more than its number; Hyperband promotes what is not in the last.
        last = values.get("tuner/round", 0) == values.get("tuner/bracket", 0)
        if last or trial.status != TrialStatus.COMPLETED:
            shutil.rmtree(self._checkpoints(trial.trial_id), ignore_errors=True)

    def give_up(self, trial: Trial, why: str) -> None:
        """Ends a trial that nobody runs any more."""
        self._reasons[trial.trial_id] = why
        trial.status = TrialStatus.FAILED
        self.on_trial_end(trial)

    def on_search_end(self) -> None:
        """Refuses a search without a result.

        Raises:
            InputError: no trial was scored; gives the reason of the first.
        """
        if is_worker():
            return
        for trial_id in self.oracle.trials:
            shutil.rmtree(self._checkpoints(trial_id), ignore_errors=True)
        if not self.oracle.get_best_trials():
            reasons = [trial.message for trial in self.oracle.trials.values() if trial.message]
            raise InputError(f"all {len(reasons)} trials failed, the first: {next(iter(reasons), 'none was run')}")
        Path(self.project_dir, FINISHED).touch()

    def _train(self, found: keras_tuner.HyperParameters, values: dict[str, Any], folder: Path) -> dict[str, float]:
        keras.backend.clear_session()  # frees what the trial before has left
        settings, task = self.settings, self._task
        model_settings, training = with_values(task.model, task.training, values)
        # Hyperband says how many epochs, and which trial goes on with more of them.
        self._take_over(found.values.get("tuner/trial_id"), folder)
        training = training.model_copy(update={"max_epochs": found.values.get("tuner/epochs", settings.max_epochs)})
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
        )
        write_file(folder / TRIAL_LOG, log.to_json())
        best = log.epochs[log.best_epoch]
        return {"val_gap": score(model, validation).scores()["gap"], "val_f1": best.val_f1, "val_loss": best.val_loss}

    def _is_hopeless(self, log: TrainingLog) -> bool:
        if not self.settings.stop_hopeless or self.settings.oracle == "hyperband":
            return False
        others = [read_log(path.parent) for path in Path(self.project_dir).glob(f"trial_*/{TRIAL_LOG}")]
        return hopeless(log, [other for other in others if other])

    def _get_tuner_fname(self) -> str:
        # The same whoever has the oracle: a search goes on with more workers or fewer.
        return str(super()._get_tuner_fname() if is_worker() else Path(self.project_dir, "tuner.json"))

    def _take_over(self, promoted: str | None, folder: Path) -> None:
        # Moved, not copied: a trial is promoted once at most.
        if promoted and (left := self._checkpoints(promoted)).exists():
            left.rename(folder / CHECKPOINT)

    def _checkpoints(self, trial_id: str) -> Path:
        return Path(self.get_trial_dir(trial_id)) / CHECKPOINT


def is_worker() -> bool:
    """Whether the oracle is another process's: KerasTuner's variables (KERASTUNER_ORACLE_IP and the like) say so."""
    return bool(has_chief_oracle() and not is_chief_oracle())


def hopeless(log: TrainingLog, others: list[TrainingLog]) -> bool:
    """Whether the best validation loss so far is above the median of those of others after as many epochs."""
    epochs = len(log.epochs)
    rivals = [best_loss(other, epochs) for other in others if len(other.epochs) >= epochs]
    return len(rivals) >= FEWEST_TO_COMPARE and best_loss(log, epochs) > statistics.median(rivals)


def best_loss(log: TrainingLog, epochs: int) -> float:
    """The lowest validation loss of the first epochs."""
    return min(epoch.val_loss for epoch in log.epochs[:epochs])


def read_log(trial_folder: Path) -> TrainingLog | None:
    """The log of a trial's training; None of one that has not ended, or failed."""
    file = trial_folder / TRIAL_LOG
    return TrainingLog.from_json(file.read_text()) if file.exists() else None


def _reason(error: Exception) -> str:
    """Why a trial failed, on one line."""
    if isinstance(error, InputError):
        return str(error)
    return f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"
