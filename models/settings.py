"""Settings of a model, read from an experiment's YAML entry, and the base of all settings."""

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

from models.errors import quote
from models.features import AUDIO_STREAM, JOINED_STREAM, RGB_STREAM, Stream

# Keras takes 32 bits; searches use the seed + 1.
MAX_SEED = 2**32 - 2

# TensorFlow counts some of these in 32 bits; how many fit into memory depends on the machine.
Count = Annotated[int, Field(gt=0, le=2**31 - 1)]

Share = Annotated[float, Field(ge=0, lt=1)]
Layers = Annotated[int, Field(gt=0, le=100)]

# Values whose squares are normal float32 numbers.
Bound = Annotated[float, Field(ge=1e-10, le=1e10)]


class Settings(BaseModel):
    """The base of all settings: immutable, without unknown keys and without NaN, whose comparisons are always false."""

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


class AverageSettings(Settings):
    """Mean of the frames: `mean_of_frames`."""

    name: Literal["average"]


class RecurrentSettings(Settings):
    """LSTM or GRU layers: `RecurrentEncoder`.

    Attributes:
        name: type of the layers.
        layers: number of layers; each reads the states of the layer below.
        units: width of each layer's state.
    """

    name: Literal["lstm", "gru"]
    layers: Layers = 1
    units: Count


class TransformerSettings(Settings):
    """Transformer blocks: `Transformer`.

    Attributes:
        heads: number of attention heads.
        dense_units: width of the dense layer inside each block.
        layers: number of blocks.
        key_dim: width of an attention head; that of a frame by default.
    """

    name: Literal["transformer"]
    heads: Count
    dense_units: Count
    layers: Layers = 1
    key_dim: Count | None = None


class DBoFSettings(Settings):
    """Deep bag of frames: `DBoF`.

    Attributes:
        clusters: number of clusters; an eighth of it for audio in a model of two streams.
        batch_norm: whether the soft assignment has batch normalization, instead of a bias.
        add_max: whether each cluster's largest share is pooled too.
    """

    name: Literal["dbof"]
    clusters: Annotated[int, Field(ge=16, le=2**31 - 1)]
    batch_norm: bool = False
    add_max: bool = False


class NetVLADSettings(Settings):
    """`NetVLAD`.

    Attributes:
        clusters: number of clusters; half of it for audio in a model of two streams. Four leave two: a single one would
            get all shares and learn nothing.
        batch_norm: whether the soft assignment has batch normalization, instead of a bias.
    """

    name: Literal["netvlad"]
    clusters: Annotated[int, Field(ge=4, le=2**31 - 1)]
    batch_norm: bool = False


class NetFVSettings(Settings):
    """`NetFV`; its attributes are those of `NetVLADSettings`."""

    name: Literal["netfv"]
    clusters: Annotated[int, Field(ge=4, le=2**31 - 1)]
    batch_norm: bool = False


class NeXtVLADSettings(Settings):
    """`NeXtVLAD` and the two layers after it: a projection and `SqueezeExcitation`.

    Attributes:
        clusters: number of clusters; half of it for audio in a model of two streams.
        groups: number of groups of a frame's features; half of it for audio.
        hidden_size: width of the projection.
    """

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


class NeighboursSettings(Settings):
    """The labels of the nearest training videos: `Neighbours`. It reads means.

    Attributes:
        neighbours: how many videos are asked for their labels.
        videos: the most training videos that the model holds, 2.3 KB each; drawn at random where there are more.
    """

    name: Literal["neighbours"]
    neighbours: Count = 60
    videos: Count = 100_000


class EnsembleSettings(Settings):
    """The weighted average of the probabilities of pushed models: `Ensemble`.

    Attributes:
        members: run folders, push directories or versions in them.
    """

    name: Literal["ensemble"]
    members: tuple[str, ...] = ()


# Encoders that answer with probabilities, no layers follow.
WholeModelSettings = NeighboursSettings | EnsembleSettings


Normalization = bool | Literal["streams"]


class ModelSettings(Settings):
    """Encoder, streams and classifier of an experiment.

    Attributes:
        encoder: pools the frames of a stream.
        two_stream: whether rgb and audio have an encoder each, instead of one for both (section 5.2.3 of the thesis).
        normalize_frames: whether each frame, or the mean that the average encoder reads, is scaled to length 1, or each
            of its two streams is (`streams`).
        context_gating: whether pooled videos and probabilities are multiplied with gates (section 3.9).
        gate_batch_norm: whether the gates have batch normalization, instead of a bias.
        gate_without_diagonal: whether a feature does not affect its own gate.
        pooled_dropout: rate of the dropout of pooled videos.
        hidden_units: widths of the dense layers after the pooling (section 5.1.1).
        hidden_units_audio: widths of the dense layers of the audio stream; `hidden_units` are those of the rgb stream
            then. Without, both streams are joined before the dense layers.
        dropout: rate of the dropout after each dense layer (section 5.2.2).
        experts: number of experts a label, see `MixtureOfExperts`; 0 for a logistic classifier.
        output_bias: where the probabilities of an untrained model lie: near 0.5 (`zero`) or at the label's share of
            the training videos (`prior`; initialization in section 3.3 of Lin et al., arXiv 1708.02002).

    Example:
        >>> encoder = {"name": "netvlad", "clusters": 64}
        >>> settings = ModelSettings.model_validate({"encoder": encoder, "two_stream": True})
        >>> [stream.name for stream in settings.streams]
        ['rgb', 'audio']
    """

    encoder: Annotated[
        AverageSettings | NeighboursSettings | FrameEncoderSettings | EnsembleSettings, Field(discriminator="name")
    ]
    two_stream: bool = False
    normalize_frames: Normalization = False
    context_gating: bool = False
    gate_batch_norm: bool = False
    gate_without_diagonal: bool = False
    pooled_dropout: Share = 0.0
    hidden_units: tuple[Count, ...] = ()
    hidden_units_audio: tuple[Count, ...] = ()
    dropout: Share = 0.0
    experts: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    output_bias: Literal["zero", "prior"] = "zero"

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
    def _whole_models_have_no_layers(self) -> "ModelSettings":
        layers = self.model_dump(exclude_defaults=True, exclude={"encoder"})
        if isinstance(self.encoder, WholeModelSettings) and layers:
            raise ValueError(f"{', '.join(layers)} cannot be set with encoder {self.encoder.name}, which has no layers")
        return self
