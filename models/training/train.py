"""Training by the thesis' recipe; a killed training resumes with bit-identical results."""

import contextlib
import functools
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import tensorflow as tf

from models.input.batches import Batches
from models.training.checkpoint import Checkpoint, Progress
from models.training.log import EpochLog, TrainingLog
from models.training.loop import TrainingLoop, extend
from models.training.micro_f1 import MicroF1
from models.training.optimizer import build_optimizer
from models.training.rated_loss import RatedCrossentropy
from models.training.stopping import deferred_signals
from models.training_settings import TrainingSettings
from models.video_classifier import training_view

# Share of the time above which waiting for input is worth a word.
MOST_WAITING = 0.05

_logger = logging.getLogger(__name__)


def train(
    build_model: Callable[[], keras.Model],
    epoch_batches: Callable[[int], Batches],
    validation: Batches,
    settings: TrainingSettings,
    *,
    seed: int,
    checkpoint_dir: Path,
    log_dir: Path,
    is_hopeless: Callable[[TrainingLog], bool] = lambda _: False,
    extendable: bool = False,
    rated: bool = False,
) -> tuple[keras.Model, TrainingLog]:
    """Trains until the validation loss stops falling, or F1 stops rising.

    The recipe is section 5.1 of the thesis: Adam, binary cross-entropy averaged over classes (equation 1), a learning
    rate that falls in steps, early stopping on the validation loss, limits in epochs and hours. Losses include the
    model's regularization, as in Keras. Called again with the same arguments after an interruption, it resumes from the
    checkpoint; on a CPU the result is bit-identical to that of an uninterrupted training, unless `max_hours` ends it. A
    finished training returns at once. All randomness must come from the model's seed generators and `epoch_batches`.

    Several GPUs split each batch; the last batch of an epoch is left out unless it is full.

    Args:
        build_model: builds the model, which maps a batch of inputs to probabilities [B, C]; called in the scope of the
            distribution strategy and under the dtype policy of `settings.precision`.
        epoch_batches: returns the (inputs, labels float32 [B, C]) batches of an epoch, counted from 0, in an order that
            depends on the epoch alone.
        validation: (inputs, labels) batches, each video once.
        settings: the recipe.
        seed: of everything random in this process.
        checkpoint_dir: folder of this training (data, settings, seed) alone.
        log_dir: folder for TensorBoard scalars, in train/ and validation/.
        is_hopeless: called after each epoch; true ends the training.
        extendable: whether a training that `max_epochs` ended keeps its state, for a call with more epochs.
        rated: whether labels below 0 are unknown: loss and F1 leave them out.

    Returns:
        The model with the weights of its best epoch, and the log of the training.

    Raises:
        InputError: the loss is not finite, a split is empty, or the checkpoint is damaged or of another model.
        SystemExit: 143 after SIGTERM, with a checkpoint saved.

    Example:
        >>> import tempfile
        >>> def build():
        ...     inputs = keras.Input((4,))
        ...     return keras.Model(inputs, keras.layers.Dense(2, "sigmoid")(inputs))
        >>> data = tf.data.Dataset.from_tensors((tf.ones((8, 4)), tf.ones((8, 2))))
        >>> settings = TrainingSettings(max_epochs=2)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     folders = {"checkpoint_dir": Path(folder, "checkpoint"), "log_dir": Path(folder, "logs")}
        ...     model, log = train(build, lambda epoch: data, data, settings, seed=0, **folders)
        >>> len(log.epochs), log.stopped_by
        (2, 'max_epochs')
    """
    keras.utils.set_random_seed(seed)
    strategy = _mirrored_strategy() if settings.strategy == "mirrored" else tf.distribute.get_strategy()
    with strategy.scope(), _dtype_policy(settings.precision):
        model = build_model()
        view, from_logits = training_view(model)
        view.compile(
            optimizer=build_optimizer(settings, strategy.num_replicas_in_sync, len(epoch_batches(0))),
            loss=(RatedCrossentropy if rated else keras.losses.BinaryCrossentropy)(from_logits=from_logits),
            metrics=[MicroF1(from_logits=from_logits, name="f1")],
            jit_compile=settings.jit_compile,
        )
        view.optimizer.build(view.trainable_variables)

    checkpoint = Checkpoint(checkpoint_dir)
    progress = checkpoint.load() or Progress(TrainingLog(parameters=model.count_params()))
    if progress.log.stopped_by == "max_epochs" and len(progress.log.epochs) < settings.max_epochs:
        extend(progress, settings.patience)
    if not progress.finished:
        with deferred_signals() as stop, _scalars(log_dir) as write_scalars:
            loop = TrainingLoop(
                view, strategy, settings, checkpoint, progress, epoch_batches, validation, stop, is_hopeless, extendable
            )
            while not progress.finished:
                loop.train_epoch()
                loop.validate()
                write_scalars(progress.log.epochs[-1])
                loop.finish_epoch()
        _report_waiting(progress.log)
    checkpoint.assign({"model": view.variables}, checkpoint.load_best())
    return model, progress.log


def _report_waiting(log: TrainingLog) -> None:
    """Says what to do where the steps waited long for their batches."""
    if log.input_seconds > max(MOST_WAITING * log.seconds, 1.0):  # a second is not worth a word
        _logger.warning(
            "training waited for input in %.0f %% of its time (%.1f of %.1f s): use more processor cores or a faster "
            "disk, or read fewer frames (training.frame_sampling)",
            100 * log.input_seconds / log.seconds, log.input_seconds, log.seconds,
        )  # fmt: skip


@functools.cache
def _mirrored_strategy() -> tf.distribute.Strategy:
    # One for each process: collective operations of a second strategy would reuse the keys of the first, and abort if
    # the models have different shapes.
    return tf.distribute.MirroredStrategy()


@contextlib.contextmanager
def _dtype_policy(name: str) -> Iterator[None]:
    """Layers built inside the block have this dtype policy."""
    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(previous)


@contextlib.contextmanager
def _scalars(log_dir: Path) -> Iterator[Callable[[EpochLog], None]]:
    """Yields a function that writes the scores of an epoch for TensorBoard."""
    train, validation = (tf.summary.create_file_writer(str(log_dir / split)) for split in ("train", "validation"))

    def write(epoch: EpochLog) -> None:
        with train.as_default(step=epoch.epoch):
            for name in ("loss", "f1", "learning_rate", "seconds", "input_seconds"):
                tf.summary.scalar(name, getattr(epoch, name))
        with validation.as_default(step=epoch.epoch):
            tf.summary.scalar("loss", epoch.val_loss)
            tf.summary.scalar("f1", epoch.val_f1)
        train.flush()
        validation.flush()

    try:
        yield write
    finally:
        train.close()
        validation.close()
