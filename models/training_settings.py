"""Settings of a training, read from an experiment's YAML entry."""

import logging
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from models.errors import quote
from models.features import MAX_FRAMES
from models.settings import Bound, Count, Settings

Hours = Annotated[float, Field(gt=0, le=1e6)]

# Up to this weight of soft targets, a target of at least one half is a label.
MAX_TEACHER_WEIGHT = 0.5

_warn_once = cache(logging.getLogger(__name__).warning)


class TrainingSettings(Settings):
    """The training recipe; the defaults are those of the thesis (section 5.1) for frame-level models.

    Attributes:
        learning_rate: Adam's, at the start.
        schedule: how the learning rate falls: in steps (`staircase`, section 5.1.2), or along half a cosine to 0 at the
            end of `max_epochs` (`cosine`; equation 5 of Loshchilov and Hutter, arXiv 1608.03983, without restarts; a
            training that a search continues with more epochs goes on at the rate of the longer cosine).
        decay_rate: of the staircase, the factor after every `decay_samples` videos; 1 for none.
        decay_samples: of the staircase, the number of training videos between two decays.
        epsilon: Adam's, which damps small gradients. The loss is a mean over labels: 1e-7 / labels acts on it as 1e-7
            does on the sum, with which the challenges' starter code trains.
        batch_size: videos in a step.
        max_epochs: ends the training after so many epochs.
        monitor: which score of the validation split says how good an epoch is: its loss, as in the thesis, or F1. With
            strong dropout F1 and GAP still rise when the loss of overconfident probabilities does too.
        patience: ends the training after so many epochs without a better one.
        min_delta: by how much a better epoch is better.
        max_hours: ends the training after so many hours, including the time before interruptions.
        clipvalue: bound of each element of a gradient (section 5.2.4).
        clipnorm: bound of the norm of each variable's gradient.
        frame_sampling: which frames of a video a training step reads, see `draw_frames`.
        sampled_frames: how many frames it reads, unless all.
        precision: Keras' dtype policy.
        strategy: one device, or all GPUs of this machine, which split each batch (`mirrored`).
        jit_compile: whether XLA compiles the steps, or `auto`, see `decide_xla`.
        checkpoint_minutes: the time between two checkpoints within an epoch.
        warm_start: true begins with the weights of the newest pushed model, a folder with those of the model in it; the
            optimizer is new.
        teachers: pushed models, named as `EnsembleSettings.members` are, whose probabilities are averaged to soft
            targets of the training split (Hinton et al., arXiv:1503.02531).
        teacher_weight: w in the target (1 - w) * label + w * soft target.

    Example:
        >>> TrainingSettings(frame_sampling="random", sampled_frames=30).batch_size
        128
    """

    learning_rate: Annotated[float, Field(ge=1e-20, le=1e38)] = 1e-3
    schedule: Literal["staircase", "cosine"] = "staircase"
    decay_rate: Annotated[float, Field(ge=1e-6, le=1)] = 0.95
    decay_samples: Count = 1_500_000
    epsilon: Annotated[float, Field(ge=1e-20, le=1)] = 1e-7
    batch_size: Count = 128
    max_epochs: Count = 100
    monitor: Literal["val_loss", "val_f1"] = "val_loss"
    patience: Count = 3
    min_delta: Annotated[float, Field(ge=0, le=1e6)] = 1e-6
    max_hours: Hours = 120.0
    clipvalue: Bound | None = None
    clipnorm: Bound | None = None
    frame_sampling: Literal["all", "random", "window", "stride"] = "all"
    sampled_frames: Annotated[int, Field(ge=1, le=MAX_FRAMES)] = MAX_FRAMES
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    strategy: Literal["single", "mirrored"] = "single"
    jit_compile: bool | Literal["auto"] = False
    checkpoint_minutes: Annotated[float, Field(gt=0, le=1e6)] = 10.0
    warm_start: bool | str = False
    teachers: tuple[str, ...] = ()
    teacher_weight: Annotated[float, Field(gt=0, le=MAX_TEACHER_WEIGHT)] = MAX_TEACHER_WEIGHT

    @model_validator(mode="before")
    @classmethod
    def _without_shuffle_videos(cls, content: Any) -> Any:
        if isinstance(content, Mapping) and "shuffle_videos" in content:
            # Experiments and runs of version 0.2 have it.
            _warn_once("training.shuffle_videos has no effect any more, leave it out: every epoch shuffles all videos")
            return {name: value for name, value in content.items() if name != "shuffle_videos"}
        return content

    @field_validator("warm_start", mode="before")
    @classmethod
    def _boolean_or_folder(cls, value: Any) -> Any:
        if not isinstance(value, bool | str) or value == "":
            raise ValueError(f"expected true, false or the folder of a pushed model, found {quote(value)}")
        return value

    @model_validator(mode="after")
    def _one_way_to_clip(self) -> "TrainingSettings":
        if self.clipvalue and self.clipnorm:
            raise ValueError("clipvalue and clipnorm are mutually exclusive")
        return self

    @model_validator(mode="after")
    def _sampled_frames_need_sampling(self) -> "TrainingSettings":
        if self.frame_sampling == "all" and self.sampled_frames != MAX_FRAMES:
            found = f"sampled_frames is {self.sampled_frames}"
            raise ValueError(f"{found}, which needs frame_sampling: random, window or stride")
        return self

    @model_validator(mode="after")
    def _a_teacher_weight_needs_teachers(self) -> "TrainingSettings":
        if not self.teachers and self.teacher_weight != MAX_TEACHER_WEIGHT:
            raise ValueError(f"teacher_weight is {self.teacher_weight}, which needs teachers")
        return self
