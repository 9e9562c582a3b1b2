"""Training: after interruptions it ends with the same bits as without."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import pytest
import tensorflow as tf

from models.errors import InputError
from models.features import FRAMES, NUM_FRAMES
from models.input.batches import Batches
from models.input.index import read_index
from models.input.indexed_batches import IndexedBatches
from models.training.checkpoint import Checkpoint
from models.training.train import train
from models.training_settings import TrainingSettings

STEPS = 6  # of an epoch of the task


def test_a_training_interrupted_everywhere_has_the_same_bits(task: Any, tmp_path: Path, uninterrupted: Any) -> None:
    places = [
        ("train_acts", (0, 0), None),  # before the first step
        ("train_acts", (0, 3), (0, 3)),
        ("train_acts", (1, 0), (1, 0)),  # between epochs
        ("validation_acts", (0, 2), (1, STEPS)),  # in this process' first validation
        ("train_acts", (2, 4), (2, 4)),
        ("train_acts", (2, STEPS), (2, STEPS)),  # after the last step of an epoch
        ("train_acts", (4, 1), (4, 1)),  # while patience runs out
    ]
    for acts, place, reached in places:
        with pytest.raises(tf.errors.UnknownError, match="Interruption"):
            task.run(tmp_path, **{acts: {place: task.interrupt}})
        progress = Checkpoint(tmp_path / "checkpoints").load()
        assert (progress and (len(progress.log.epochs), progress.step)) == reached
    result = task.run(tmp_path)
    task.assert_same(result, uninterrupted)
    assert result[1].resumed_from == reached


def test_a_training_interrupted_long_after_its_checkpoint_ends_with_the_same_bits(
    task: Any, tmp_path: Path, uninterrupted: Any
) -> None:
    settings = task.RECIPE.model_copy(update={"checkpoint_minutes": 60.0})
    with pytest.raises(tf.errors.UnknownError, match="Interruption"):
        task.run(tmp_path, settings, train_acts={(3, 2): task.interrupt})
    result = task.run(tmp_path, settings)
    task.assert_same(result, uninterrupted)
    assert result[1].resumed_from == (3, 0)


class BreakingBatches:
    """Batches that end in an interruption before one of them."""

    def __init__(self, batches: Batches, interrupt: Callable[[], object], step: int) -> None:
        self._batches, self._interrupt, self._step = batches, interrupt, step
        self.element_spec = batches.element_spec

    def skip(self, count: int) -> "BreakingBatches":
        return BreakingBatches(self._batches.skip(count), self._interrupt, self._step - count)

    def __iter__(self) -> Iterator[Any]:
        yield from self._batches.take(self._step)
        self._interrupt()


def test_an_interrupted_training_on_sampled_frames_ends_with_the_same_bits(
    task: Any, tmp_path: Path, shards: Any
) -> None:
    settings = task.RECIPE.model_copy(
        update={"frame_sampling": "random", "sampled_frames": 5, "learning_rate": 0.01, "max_epochs": 2}
    )
    index = read_index(shards.files)

    def build() -> keras.Model:
        frames = keras.Input((None, 1152), dtype="uint8", name=FRAMES)
        num_frames = keras.Input((), dtype="int32", name=NUM_FRAMES)
        mean = keras.layers.GlobalAveragePooling1D()(keras.layers.Rescaling(1 / 255)(frames))
        labels = keras.layers.Dense(10, "sigmoid")(mean)
        return keras.Model({FRAMES: frames, NUM_FRAMES: num_frames}, labels)

    def train_on(folder: Path, break_at: int | None = None, settings: TrainingSettings = settings) -> Any:
        def epoch_batches(epoch: int) -> Batches:
            data = IndexedBatches(index, 10, task.BATCH, sampling=settings).shuffled(f"0-{epoch}")
            if epoch == 0 or break_at is None:
                return data
            return BreakingBatches(data, task.interrupt, break_at)

        validation = IndexedBatches(index, 10, task.BATCH)
        places = {"checkpoint_dir": folder / "checkpoints", "log_dir": folder / "logs"}
        return train(build, epoch_batches, validation, settings, seed=0, **places)

    uninterrupted = train_on(tmp_path / "uninterrupted")
    with pytest.raises(task.Interruption):
        train_on(tmp_path / "broken", break_at=3)
    resumed = train_on(tmp_path / "broken")
    assert resumed[1].resumed_from == (1, 3)
    task.assert_same(resumed, uninterrupted)
    # Training did read the sampled frames.
    other = train_on(tmp_path / "other", settings=settings.model_copy(update={"sampled_frames": 6}))
    assert other[1].epochs[0].loss != uninterrupted[1].epochs[0].loss


@pytest.mark.parametrize(
    ("number", "code", "during", "place", "saved"),
    [
        (signal.SIGTERM, 143, "train_acts", (1, 3), (1, 4)),
        (signal.SIGINT, 130, "train_acts", (1, 3), (1, 4)),
        (signal.SIGTERM, 143, "validation_acts", (2, 1), (2, STEPS)),
    ],
)
def test_a_signal_saves_and_ends_the_process(
    task: Any,
    tmp_path: Path,
    uninterrupted: Any,
    caplog: pytest.LogCaptureFixture,
    number: signal.Signals,
    code: int,
    during: str,
    place: tuple[int, int],
    saved: tuple[int, int],
) -> None:
    settings = task.RECIPE.model_copy(update={"checkpoint_minutes": 60.0})
    before = signal.getsignal(number)
    with caplog.at_level("INFO", "models.training"), pytest.raises(SystemExit) as stopped:
        task.run(tmp_path, settings, **{during: {place: lambda: os.kill(os.getpid(), number)}})  # type: ignore[arg-type]
    assert stopped.value.code == code
    assert "stopped, progress is saved: epoch {}, step {}".format(*saved) in caplog.text
    assert signal.getsignal(number) is before
    result = task.run(tmp_path, settings)
    task.assert_same(result, uninterrupted)
    assert result[1].resumed_from == saved


def test_a_finished_training_returns_at_once(task: Any, tmp_path: Path) -> None:
    settings = task.RECIPE.model_copy(update={"max_epochs": 2})
    finished = task.run(tmp_path, settings)
    assert len(finished[1].epochs) == 2 and finished[1].stopped_by == "max_epochs"
    read = {(epoch, 0): task.interrupt for epoch in range(-1, 3)}
    task.assert_same(task.run(tmp_path, settings, train_acts=dict(read), validation_acts=dict(read)), finished)
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2


def test_the_message_for_a_damaged_checkpoint_names_it(task: Any, tmp_path: Path) -> None:
    with pytest.raises(tf.errors.UnknownError):
        task.run(tmp_path, train_acts={(0, 2): task.interrupt})
    state = next((tmp_path / "checkpoints").glob("state-*.npz"))
    state.write_bytes(state.read_bytes()[:-100])
    with pytest.raises(InputError, match=f"{state} cannot be read .*: delete folder {state.parent} to start again"):
        task.run(tmp_path)
