"""The epochs of a training: steps, validation, early stopping and checkpoints."""

import logging
import math
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from models.errors import InputError, plural
from models.input.batches import Batches
from models.training.checkpoint import Checkpoint, Progress, values
from models.training.log import EpochLog, TrainingLog
from models.training.placement import PlacedBatches
from models.training.stopping import StopRequest
from models.training_settings import TrainingSettings

_logger = logging.getLogger(__name__)


class TrainingLoop:
    """The steps of one training and the state they share, restored if there is a checkpoint.

    Keras' `fit` cannot resume within an epoch: it resets the metrics first and, under a strategy, reads the start of
    the data twice and fails if nothing of the epoch is left. So this calls Keras' steps (`train_step`) itself.
    Arguments: see `train`.
    """

    def __init__(
        self,
        view: keras.Model,
        strategy: tf.distribute.Strategy,
        settings: TrainingSettings,
        checkpoint: Checkpoint,
        progress: Progress,
        epoch_batches: Callable[[int], Batches],
        validation: Batches,
        stop: StopRequest,
        is_hopeless: Callable[[TrainingLog], bool],
        extendable: bool,
    ) -> None:
        self._view = view
        self._strategy = strategy
        self._replicated = strategy.num_replicas_in_sync > 1
        self._settings = settings
        self._checkpoint = checkpoint
        self._progress = progress
        self._epoch_batches = epoch_batches
        self._validation = validation
        self._stop = stop
        self._is_hopeless = is_hopeless
        self._extendable = extendable
        self._now = self._saved = time.monotonic()
        self._saved_place = "none was saved"
        self._train_step = self._compiled(view.train_step, epoch_batches(self._epoch))
        self._test_step = self._compiled(view.test_step, validation)
        self._build_metrics()
        self._restore()

    def _build_metrics(self) -> None:
        # Keras creates the metrics' variables at the first batch; a checkpoint has values for them.
        first_batch = next(iter(self._validation), None)
        if first_batch is None:
            raise InputError("validation data: no videos; early stopping needs at least one")
        if (videos := len(first_batch[1])) < (replicas := self._strategy.num_replicas_in_sync):
            raise InputError(
                f"validation data: {plural(videos, 'video')} for {replicas} devices, at least one each is needed"
            )
        self._strategy.run(self._view.test_step, args=(first_batch,))

    def _restore(self) -> None:
        if state := self._checkpoint.load_state():
            self._checkpoint.assign(self._variables(), state)
            self._progress.log.resumed_from = (self._epoch, self._progress.step)
            self._saved_place = f"epoch {self._epoch}, step {self._progress.step}"
            _logger.info("resuming in epoch %d after step %d", self._epoch + 1, self._progress.step)

    def train_epoch(self) -> None:
        """Trains on the rest of the epoch until it ends or `max_hours` are over, at least one step an epoch."""
        progress = self._progress
        if progress.trained is not None:
            return
        if progress.step == 0:
            self._view.reset_metrics()
        bar = self._bar(progress.log.epochs[-1].videos if progress.log.epochs else 0)
        batches = self._training_batches()
        for batch in batches:
            if progress.step and self._out_of_hours():
                break
            scores = self._train_step(batch)
            progress.step += 1
            self._after_step(batches, scores, bar, progress.step)
        if progress.step == 0:
            missing = f"full batch of {self._settings.batch_size} videos" if self._replicated else "video"
            raise InputError(f"training data: no {missing} in epoch {self._epoch}")
        self._synchronize()
        progress.trained = self._scores() | {"learning_rate": self._learning_rate()}

    def validate(self) -> None:
        """Computes loss and F1 of the validation split and logs the epoch."""
        progress, log = self._progress, self._progress.log
        assert progress.trained is not None
        self._view.reset_metrics()
        bar = self._bar(log.validation_videos)
        batches = PlacedBatches(self._validation, self._strategy)
        for step, batch in enumerate(batches, start=1):
            self._after_step(batches, self._test_step(batch), bar, step, "validation loss")
        scores = self._scores()
        log.validation_videos = int(scores["videos"])
        epoch = EpochLog(
            epoch=self._epoch,
            loss=progress.trained["loss"],
            f1=progress.trained["f1"],
            val_loss=scores["loss"],
            val_f1=scores["f1"],
            learning_rate=progress.trained["learning_rate"],
            videos=int(progress.trained["videos"]),
            seconds=progress.seconds,
            input_seconds=progress.input_seconds,
        )
        log.epochs.append(epoch)
        _logger.info(
            "epoch %d: loss %.4f, f1 %.4f, validation loss %.4f, f1 %.4f, %.1f s (%.1f s waiting for input)",
            epoch.epoch + 1, epoch.loss, epoch.f1, epoch.val_loss, epoch.val_f1, epoch.seconds, epoch.input_seconds,
        )  # fmt: skip

    def finish_epoch(self) -> None:
        """Decides whether the training is finished, and saves a checkpoint, with the weights if they are the best."""
        progress, log = self._progress, self._progress.log
        newest = log.epochs[-1]
        by_f1 = self._settings.monitor == "val_f1"
        losses = [-epoch.val_f1 if by_f1 else epoch.val_loss for epoch in log.epochs]
        log.best_epoch = best_epoch(losses, self._settings.min_delta)
        progress.step, progress.trained, progress.seconds, progress.input_seconds = 0, None, 0.0, 0.0
        if self._out_of_hours():
            log.stopped_by = "max_hours"
        elif len(log.epochs) >= self._settings.max_epochs:
            log.stopped_by = "max_epochs"
        elif newest.epoch - log.best_epoch >= self._settings.patience:
            log.stopped_by = "patience"
        elif self._is_hopeless(log):
            log.stopped_by = "hopeless"
        progress.finished = log.stopped_by is not None
        self._save(best=log.best_epoch == newest.epoch)

    @property
    def _epoch(self) -> int:
        return len(self._progress.log.epochs)

    def _out_of_hours(self) -> bool:
        seconds = self._progress.seconds + sum(epoch.seconds for epoch in self._progress.log.epochs)
        return seconds >= 3600 * self._settings.max_hours

    def _training_batches(self) -> PlacedBatches:
        batches = self._epoch_batches(self._epoch).skip(self._progress.step)
        # A smaller last batch could leave a replica without videos, whose moments would be NaN.
        return PlacedBatches(batches, self._strategy, full=self._settings.batch_size if self._replicated else 0)

    def _compiled(self, step: Callable[[Any], dict[str, Any]], batches: Batches) -> Callable[[Any], dict[str, Any]]:
        # One trace for batches of any size: one for the size of the first batch might give a resumed training other
        # kernels than an uninterrupted one. (Replicas train on full batches only.) The result is for display and for
        # detecting a loss that is not finite; exact scores are read from the metrics' variables.
        signature = None if self._replicated else [batches.element_spec]

        @tf.function(input_signature=signature, jit_compile=self._settings.jit_compile, autograph=False)
        def compiled(batch: Any) -> dict[str, Any]:
            scores = self._strategy.run(step, args=(batch,))
            return {name: self._strategy.reduce("MEAN", score, axis=None) for name, score in scores.items()}

        return compiled

    def _after_step(
        self, batches: PlacedBatches, scores: dict[str, Any], bar: keras.utils.Progbar, step: int, name: str = "loss"
    ) -> None:
        loss = float(scores["loss"])  # a mean over the epoch so far: it stays NaN or infinite once it is
        if not math.isfinite(loss):
            raise self._diverged(f"{name} is {loss}")
        bar.update(step, [("loss", loss), ("f1", float(scores["f1"]))])
        now = time.monotonic()
        self._progress.seconds += now - self._now
        self._progress.input_seconds += batches.waited
        self._now = now
        if self._stop or now - self._saved >= 60 * self._settings.checkpoint_minutes:
            self._save()
        if self._stop:
            _logger.info("stopped, progress is saved: %s", self._saved_place)
            self._stop.exit()

    def _save(self, best: bool = False) -> None:
        self._synchronize()
        state = values(self._variables())
        if not all(np.isfinite(array).all() for array in state.values()):
            raise self._diverged("a weight is not finite")
        model = {name: array for name, array in state.items() if name.startswith("model.")} if best else None
        final = self._progress.finished and not (self._extendable and self._progress.log.stopped_by == "max_epochs")
        self._checkpoint.save(self._progress, None if final else state, model)
        self._saved = time.monotonic()
        self._saved_place = f"epoch {self._epoch}, step {self._progress.step}"

    def _synchronize(self) -> None:
        # Each replica has moving moments of its part of the batches; one model is validated and saved.
        if self._replicated:
            for variable in self._view.non_trainable_weights:
                replicas = self._strategy.experimental_local_results(variable.value)
                variable.assign(np.mean([replica.numpy() for replica in replicas], axis=0))

    def _variables(self) -> dict[str, list[keras.Variable]]:
        view = self._view
        return {"model": view.variables, "optimizer": view.optimizer.variables, "metrics": view.metrics_variables}

    def _scores(self) -> dict[str, float]:
        # Keras weights the mean loss by batch size, so the weights add up to the number of videos. In float32 that is
        # exact up to 16.8 million, and above it if batch sizes are multiples of 2, 4...
        loss = next(metric for metric in self._view.metrics if metric.name == "loss")
        results = {name: float(result) for name, result in self._view.get_metrics_result().items()}
        return results | {"videos": float(loss.count.numpy())}

    def _learning_rate(self) -> float:
        # A tensor with a schedule; a variable with a fixed rate, one for each of several devices.
        return float(keras.ops.convert_to_numpy(self._view.optimizer.learning_rate))

    def _bar(self, videos: int) -> keras.utils.Progbar:
        target = math.ceil(videos / self._settings.batch_size) or None
        return keras.utils.Progbar(target, verbose=int(sys.stdout.isatty()), stateful_metrics=["loss", "f1"])

    def _diverged(self, problem: str) -> InputError:
        return InputError(
            f"training diverged: {problem} in epoch {self._epoch} at step {self._progress.step}, learning rate "
            f"{self._learning_rate():g}: lower training.learning_rate or, in mixed precision, set training.precision "
            f"to float32; last good checkpoint in {self._checkpoint.folder}: {self._saved_place}"
        )


def extend(progress: Progress, patience: int) -> None:
    """Reopens a training that `max_epochs` ended, unless patience would have ended it at the same epoch."""
    log = progress.log
    log.stopped_by = "patience" if log.epochs[-1].epoch - log.best_epoch >= patience else None
    progress.finished = log.stopped_by is not None


def best_epoch(losses: Sequence[float], min_delta: float) -> int:
    """Index of the best loss for early stopping (section 3.10.1 of the thesis): the last fall by more than `min_delta`.

    Keras' EarlyStopping keeps state that a new process would lose; this depends on the losses alone.

    Example:
        >>> best_epoch([0.5, 0.3, 0.299, 0.4], min_delta=0.01)
        1
    """
    best = 0
    for epoch, loss in enumerate(losses):
        if loss < losses[best] - min_delta:
            best = epoch
    return best
