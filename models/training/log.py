"""The log of a training: its epochs, the best of them, and the number of videos."""

from dataclasses import field
from typing import Literal

from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass


@dataclass
class EpochLog:
    """Scores of one epoch; epochs count from 0.

    Attributes:
        epoch: its number.
        loss: over the training batches, while weights change and dropout is on.
        f1: likewise.
        val_loss: on the validation split, after the epoch.
        val_f1: likewise.
        learning_rate: after the last step of the epoch.
        videos: training videos of the epoch; fewer if `max_hours` ended it.
        seconds: wall time of training and validation, without interruptions; ignored by ==.
        input_seconds: of them, waiting for batches; ignored by ==.
    """

    epoch: int
    loss: float
    f1: float
    val_loss: float
    val_f1: float
    learning_rate: float
    videos: int
    seconds: float = field(compare=False)
    input_seconds: float = field(default=0.0, compare=False)


@dataclass
class TrainingLog:
    """All epochs of a training; logs are equal if the trainings computed the same.

    Attributes:
        parameters: number of the model's parameters, trainable or not.
        epochs: the log of each epoch.
        best_epoch: index in `epochs` of the epoch whose weights the trained model has.
        stopped_by: the setting that ended the training, "hopeless" if `is_hopeless` did, None while it runs.
        validation_videos: number of videos in the validation split.
        resumed_from: (epoch, step) of the checkpoint that the last process resumed from; ignored by ==.
    """

    parameters: int
    epochs: list[EpochLog] = field(default_factory=list)
    best_epoch: int = 0
    stopped_by: Literal["patience", "max_epochs", "max_hours", "hopeless"] | None = None
    validation_videos: int = 0
    resumed_from: tuple[int, int] | None = field(default=None, compare=False)

    @property
    def seconds(self) -> float:
        """Wall time of all epochs."""
        return sum(epoch.seconds for epoch in self.epochs)

    @property
    def input_seconds(self) -> float:
        """The part of `seconds` that steps waited for batches."""
        return sum(epoch.input_seconds for epoch in self.epochs)

    def to_json(self) -> str:
        """The log as JSON, for `from_json`."""
        return TypeAdapter(TrainingLog).dump_json(self, indent=1).decode()

    @classmethod
    def from_json(cls, text: str) -> "TrainingLog":
        """Parses the output of `to_json`; raises pydantic.ValidationError for anything else."""
        return TypeAdapter(cls).validate_json(text)
