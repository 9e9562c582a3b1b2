"""Settings of a model and of its training, read from an experiment's YAML entry."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, assert_never, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from models.errors import InputError, printable, quote
from models.features import AUDIO_STREAM, JOINED_STREAM, MAX_FRAMES, RGB_STREAM, Stream

# Keras takes 32 bits; searches use the seed + 1.
MAX_SEED = 2**32 - 2

# TensorFlow counts some of these in 32 bits; how many fit into memory depends on the machine.
Count = Annotated[int, Field(gt=0, le=2**31 - 1)]

Share = Annotated[float, Field(ge=0, lt=1)]
Layers = Annotated[int, Field(gt=0, le=100)]
Hours = Annotated[float, Field(gt=0, le=1e6)]

# Values whose squares are normal float32 numbers.
Bound = Annotated[float, Field(ge=1e-10, le=1e10)]


class Settings(BaseModel):
    """Immutable settings without unknown keys and non-finite numbers: comparisons with NaN are always false."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _no_booleans_as_numbers(cls, content: Any) -> Any:
        for name, value in content.items() if isinstance(content, Mapping) else ():
            kinds = _kinds(cls.model_fields[name].annotation) if name in cls.model_fields else set()
            parts = value if isinstance(value, list | tuple) else (value,)
            # Python takes booleans for 1 and 0.
            if kinds & {int, float} and bool not in kinds and any(isinstance(part, bool) for part in parts):
                error = PydanticCustomError("number", "input should be a number")
                raise ValidationError.from_exception_data(
                    cls.__name__, [InitErrorDetails(type=error, loc=(name,), input=value)]
                )
        return content

    @field_validator("*")
    @classmethod
    def _no_zero_bytes(cls, value: Any) -> Any:
        for text in value if isinstance(value, tuple) else (value,):
            if isinstance(text, str) and "\0" in text:  # not allowed in file names
                raise ValueError(f"{quote(text)} has a zero byte")
        return value


def _kinds(annotation: Any) -> set[Any]:
    """The types in an annotation, nested ones too."""
    return {annotation}.union(*map(_kinds, get_args(annotation)))


def set_key(content: dict[str, Any], key: str, value: Any) -> None:
    """Sets the value of a dotted key in nested dicts.

    Raises:
        InputError: a part of the key names a value that is not a dict.

    Example:
        >>> content = {"training": {"max_epochs": 100}}
        >>> set_key(content, "training.max_epochs", 5)
        >>> content
        {'training': {'max_epochs': 5}}
    """
    *parents, last = key.split(".")
    for parent in parents:
        if content.get(parent) is None:  # missing, or an optional block such as `tune`
            content[parent] = {}
        content = content[parent]
        if not isinstance(content, dict):
            raise InputError(f"{printable(key)} is not a setting: {printable(parent)} has no parts")
    content[last] = value


def flatten(content: Mapping[str, Any], parents: str = "") -> dict[str, Any]:
    """The values of nested dicts by dotted keys.

    Example:
        >>> flatten({"training": {"max_epochs": 5, "patience": 3}})
        {'training.max_epochs': 5, 'training.patience': 3}
    """
    values: dict[str, Any] = {}
    for key, value in content.items():
        values |= flatten(value, f"{parents}{key}.") if isinstance(value, Mapping) else {f"{parents}{key}": value}
    return values


class AverageSettings(Settings):
    """Mean of the frames."""

    name: Literal["average"]


class RecurrentSettings(Settings):
    """LSTM or GRU layers; the video vector is the state of the last layer after the last frame."""

    name: Literal["lstm", "gru"]
    layers: Layers = 1
    units: Count


class TransformerSettings(Settings):
    """Transformer encoder layers; without `key_dim` each attention head is as wide as a frame."""

    name: Literal["transformer"]
    heads: Count
    dense_units: Count
    layers: Layers = 1
    key_dim: Count | None = None


class DBoFSettings(Settings):
    """Deep bag of frames."""

    name: Literal["dbof"]
    clusters: Annotated[int, Field(ge=16, le=2**31 - 1)]
    batch_norm: bool = False
    add_max: bool = False


class NetVLADSettings(Settings):
    """NetVLAD; four clusters leave two to audio: a single one would get all shares and learn nothing."""

    name: Literal["netvlad"]
    clusters: Annotated[int, Field(ge=4, le=2**31 - 1)]
    batch_norm: bool = False


class NetFVSettings(Settings):
    """NetFV."""

    name: Literal["netfv"]
    clusters: Annotated[int, Field(ge=4, le=2**31 - 1)]
    batch_norm: bool = False


class NeXtVLADSettings(Settings):
    """NeXtVLAD."""

    name: Literal["nextvlad"]
    clusters: Annotated[int, Field(ge=4, le=2**31 - 1)]
    groups: Literal[2, 4, 8, 16, 32] = 8
    hidden_size: Annotated[int, Field(ge=8, le=2**31 - 1)] = 2048


FrameEncoderSettings = (
    RecurrentSettings | TransformerSettings | DBoFSettings | NetVLADSettings | NetFVSettings | NeXtVLADSettings
)


def for_stream(settings: FrameEncoderSettings, stream: Stream) -> FrameEncoderSettings:
    """The settings of one stream's encoder: those of the experiment, with fewer clusters and groups for audio.

    Example:
        >>> for_stream(DBoFSettings(name="dbof", clusters=4096), AUDIO_STREAM).clusters
        512
    """
    if stream != AUDIO_STREAM:
        return settings
    match settings:
        case RecurrentSettings() | TransformerSettings():
            return settings
        case DBoFSettings(clusters=clusters):
            return settings.model_copy(update={"clusters": clusters // 8})
        case NetVLADSettings(clusters=clusters) | NetFVSettings(clusters=clusters):
            return settings.model_copy(update={"clusters": clusters // 2})
        case NeXtVLADSettings(clusters=clusters, groups=groups):
            return settings.model_copy(update={"clusters": clusters // 2, "groups": groups // 2})
    assert_never(settings)


class EnsembleSettings(Settings):
    """The weighted average of the probabilities of pushed models; `members` are run folders or model folders."""

    name: Literal["ensemble"]
    members: tuple[str, ...] = ()


class ModelSettings(Settings):
    """Encoder, streams and classifier of an experiment; `experts` is the number of experts a label, 0 for none.

    Example:
        >>> encoder = {"name": "netvlad", "clusters": 64}
        >>> settings = ModelSettings.model_validate({"encoder": encoder, "two_stream": True})
        >>> [stream.name for stream in settings.streams]
        ['rgb', 'audio']
    """

    encoder: Annotated[AverageSettings | FrameEncoderSettings | EnsembleSettings, Field(discriminator="name")]
    two_stream: bool = False
    normalize_frames: bool = False
    context_gating: bool = False
    gate_batch_norm: bool = False
    gate_without_diagonal: bool = False
    pooled_dropout: Share = 0.0
    hidden_units: tuple[Count, ...] = ()
    hidden_units_audio: tuple[Count, ...] = ()
    dropout: Share = 0.0
    experts: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0

    @property
    def streams(self) -> tuple[Stream, ...]:
        """The streams of the model, each with its own encoder."""
        return (RGB_STREAM, AUDIO_STREAM) if self.two_stream else (JOINED_STREAM,)

    @model_validator(mode="after")
    def _audio_needs_two_streams(self) -> "ModelSettings":
        if self.hidden_units_audio and not self.two_stream:
            raise ValueError("hidden_units_audio needs two_stream: true")
        return self

    @model_validator(mode="after")
    def _gates_need_gating(self) -> "ModelSettings":
        if (self.gate_batch_norm or self.gate_without_diagonal) and not self.context_gating:
            raise ValueError("gate_batch_norm and gate_without_diagonal need context_gating: true")
        return self

    @model_validator(mode="after")
    def _an_ensemble_has_no_layers(self) -> "ModelSettings":
        if isinstance(self.encoder, EnsembleSettings) and self.model_dump(exclude_defaults=True).keys() != {"encoder"}:
            raise ValueError("an ensemble has members only, no layers of its own")
        return self


class TrainingSettings(Settings):
    """The training recipe; the defaults are those of the thesis (section 5.1) for frame-level models.

    `frame_sampling` selects the frames of a video that a training step reads: `all`; `random`: `sampled_frames` frames
    drawn with replacement (section 4.3); `window`: that many in a row, from a random frame on; `stride`: every k-th,
    from a random one of the first k. `clipvalue` bounds each element of a gradient, `clipnorm` the norm of each
    variable's gradient. `max_hours` counts the time before interruptions too. `warm_start: true` begins with the
    weights of the newest pushed model, a folder with those of the model in it; the optimizer is new.

    Example:
        >>> TrainingSettings(frame_sampling="random", sampled_frames=30).batch_size
        128
    """

    learning_rate: Annotated[float, Field(ge=1e-20, le=1e38)] = 1e-3
    decay_rate: Annotated[float, Field(ge=1e-6, le=1)] = 0.95
    decay_samples: Count = 1_500_000
    batch_size: Count = 128
    max_epochs: Count = 100
    patience: Count = 3
    min_delta: Annotated[float, Field(ge=0, le=1e6)] = 1e-6
    max_hours: Hours = 120.0
    clipvalue: Bound | None = None
    clipnorm: Bound | None = None
    frame_sampling: Literal["all", "random", "window", "stride"] = "all"
    sampled_frames: Annotated[int, Field(ge=1, le=MAX_FRAMES)] = MAX_FRAMES
    # YouTube-8M has six million videos; TensorFlow allocates the whole buffer at once.
    shuffle_videos: Annotated[int, Field(gt=0, le=10_000_000)] = 1024
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    strategy: Literal["single", "mirrored"] = "single"
    jit_compile: bool = False
    checkpoint_minutes: Annotated[float, Field(gt=0, le=1e6)] = 10.0
    warm_start: bool | str = False

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
            raise ValueError(
                f"sampled_frames is {self.sampled_frames}, which needs frame_sampling: random, window or stride"
            )
        return self
