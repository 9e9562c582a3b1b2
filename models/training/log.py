"""What a training run tells: its epochs, the best of them, and how many videos it saw."""

from dataclasses import field
from typing import Literal

from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass


@dataclass
class EpochLog:
    """Scores of one epoch; epochs count from 0.

    Attributes:
        loss, f1: over the epoch's training batches, as the weights change (dropout on).
        val_loss, val_f1: over the validation split after the epoch.
        learning_rate: of the step after the epoch's last one.
        videos: training videos of the epoch; fewer in the last one if the hours ran out.
        seconds: wall time of training and validation, without the time that an interruption took; not compared.
    """

    epoch: int
    loss: float
    f1: float
    val_loss: float
    val_f1: float
    learning_rate: float
    videos: int
    seconds: float = field(compare=False)


@dataclass
class TrainingLog:
    """All epochs of a training run; two logs are equal where the trainings computed the same.

    Attributes:
        parameters: of the model, trainable or not.
        best_epoch: the epoch whose weights the trained model has (its place in `epochs`).
        stopped_by: the setting that ended the training, "hopeless" if the caller did, None as long as it runs.
        validation_videos: videos of the validation split.
        resumed_from: (epoch, step) of the checkpoint that the last process started from; not compared.
    """

    parameters: int
    epochs: list[EpochLog] = field(default_factory=list)
    best_epoch: int = 0
    stopped_by: Literal["patience", "max_epochs", "max_hours", "hopeless"] | None = None
    validation_videos: int = 0
    resumed_from: tuple[int, int] | None = field(default=None, compare=False)

    def to_json(self) -> str:
        """The log as JSON; `from_json` gives back an equal one."""
        return TypeAdapter(TrainingLog).dump_json(self, indent=1).decode()

    @classmethod
    def from_json(cls, text: str) -> "TrainingLog":
        """Reads what `to_json` wrote; raises pydantic.ValidationError for anything else."""
        return TypeAdapter(cls).validate_json(text)
