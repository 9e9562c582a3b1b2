"""What a model is made of and how it is trained; both are read from an experiment's YAML entry."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, model_validator

Share = Annotated[float, Field(ge=0, lt=1)]


class Settings(BaseModel):
    """Immutable settings that refuse unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class AverageSettings(Settings):
    """Mean of the frames."""

    name: Literal["average"]


class NetVLADSettings(Settings):
    """NetVLAD; `clusters` counts the visual stream's, the audio stream has half of them.

    With one cluster all shares are 1 and nothing is learnt about them: four leave the audio stream two.
    """

    name: Literal["netvlad"]
    clusters: Annotated[int, Field(ge=4)]
    batch_norm: bool = False


class ModelSettings(Settings):
    """Encoder, streams and classifier of an experiment."""

    encoder: Annotated[AverageSettings | NetVLADSettings, Field(discriminator="name")]
    two_stream: bool = False
    normalize_frames: bool = False
    context_gating: bool = False
    pooled_dropout: Share = 0.0
    hidden_units: tuple[PositiveInt, ...] = ()
    hidden_units_audio: tuple[PositiveInt, ...] = ()
    dropout: Share = 0.0

    @model_validator(mode="after")
    def _audio_needs_two_streams(self) -> "ModelSettings":
        if self.hidden_units_audio and not self.two_stream:
            raise ValueError("hidden_units_audio needs two_stream: true")
        return self


class TrainingSettings(Settings):
    """The recipe of a training run; the defaults are the thesis' (section 5.1) for learnable pooling."""

    learning_rate: PositiveFloat = 1e-3
    decay_rate: Annotated[float, Field(gt=0, le=1)] = 0.95
    decay_samples: PositiveInt = 1_500_000
    batch_size: PositiveInt = 128
    max_epochs: PositiveInt = 100
    patience: PositiveInt = 3
    min_delta: Annotated[float, Field(ge=0)] = 1e-6
    shuffle_videos: PositiveInt = 1024
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    strategy: Literal["single", "mirrored"] = "single"
    jit_compile: bool = False
    checkpoint_minutes: PositiveFloat = 10.0
