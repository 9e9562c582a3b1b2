"""The whole network of an experiment: frames or their mean -> encoder -> gating -> classifier -> probabilities."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

import keras
from keras import KerasTensor, ops

from models.classifier import dense_stack
from models.context_gating import ContextGating
from models.features import RGB_WIDTH, WIDTH
from models.masking import frame_mask
from models.net_vlad import NetVLAD
from models.normalization import l2_normalize
from models.quantization import dequantize
from models.settings import AverageSettings, ModelSettings, NetVLADSettings

# Settings of the encoders that read frames; each has its layer in `_encoder`.
FrameEncoderSettings = NetVLADSettings


@dataclass(frozen=True)
class Stream:
    """The columns of the joined 1152-wide frames that one encoder sees."""

    name: str
    start: int
    stop: int

    @property
    def width(self) -> int:
        """Features of a frame, and of the pooled video: projections keep the width, so classifiers always see 1152."""
        return self.stop - self.start


RGB_STREAM = Stream("rgb", 0, RGB_WIDTH)
AUDIO_STREAM = Stream("audio", RGB_WIDTH, WIDTH)
JOINED_STREAM = Stream("joined", 0, WIDTH)


@keras.saving.register_keras_serializable("yt8m")
class FrameDecoder(keras.layers.Layer):
    """Turns packed frames into what every encoder takes: features and a mask.

    Args:
        normalize: scale each joined frame to length 1, as the reference trainers of YouTube-8M do.

    Call arguments:
        frames: uint8, [batch, frames, 1152]; padded with anything.
        num_frames: int, [batch].

    Returns:
        features (dtype of the layer, same shape as `frames`) and mask (bool, [batch, frames]; true for real frames).
    """

    def __init__(self, normalize: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.normalize = normalize

    def call(self, frames: KerasTensor, num_frames: KerasTensor) -> tuple[KerasTensor, KerasTensor]:
        """Dequantizes in float32, then rounds to the dtype of the layer."""
        features = dequantize(frames)
        if self.normalize:
            features = l2_normalize(features)
        return ops.cast(features, self.compute_dtype), frame_mask(num_frames, frames)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "normalize": self.normalize}


def reads_frames(settings: ModelSettings) -> bool:
    """Whether the model takes frames; if not, it takes the mean that `models.average.mean_of_frames` computes."""
    return not isinstance(settings.encoder, AverageSettings)


def build_video_classifier(settings: ModelSettings, classes: int, seed: int) -> keras.Model:
    """Builds the network of an experiment.

    With `hidden_units_audio` each stream has its own gating, dropout and dense layers, and their outputs are joined;
    without, the pooled streams are joined first. The same seed gives the same initial weights and dropout masks.

    Args:
        settings: what the network is made of.
        classes: number of labels.
        seed: of everything random in the network.

    Returns:
        A functional model. Inputs: `{"mean": float32 [batch, 1152]}` for the average encoder, else
        `{"frames": uint8 [batch, frames, 1152], "num_frames": int32 [batch]}`, frames padded with anything.
        Output: probabilities, float32 [batch, classes], in every precision.
    """
    seeds = _seeds(seed)
    streams = (RGB_STREAM, AUDIO_STREAM) if settings.two_stream else (JOINED_STREAM,)
    inputs, pooled = _pool(settings, streams, seeds)
    if len(pooled) > 1 and not settings.hidden_units_audio:
        streams, pooled = (JOINED_STREAM,), [keras.layers.Concatenate(name="pooled")(pooled)]

    # One stream has the first stack only.
    stacks = (settings.hidden_units, settings.hidden_units_audio)
    hidden = []
    for stream, video, units in zip(streams, pooled, stacks, strict=False):
        if settings.context_gating:
            video = ContextGating(seed=next(seeds), name=f"{stream.name}_gated")(video)
        if settings.pooled_dropout:
            dropout = keras.layers.Dropout(settings.pooled_dropout, seed=next(seeds), name=f"{stream.name}_dropout")
            video = dropout(video)
        hidden.append(dense_stack(video, units, settings.dropout, seeds, f"{stream.name}_hidden"))
    last = hidden[0] if len(hidden) == 1 else keras.layers.Concatenate(name="hidden")(hidden)

    # In float32 in every precision: bfloat16 knows two probabilities between 0.99 and 1.
    kernel = keras.initializers.GlorotUniform(seed=next(seeds))
    logits = keras.layers.Dense(classes, kernel_initializer=kernel, dtype="float32", name="logits")(last)
    probabilities = keras.layers.Activation("sigmoid", dtype="float32", name="probabilities")(logits)
    if settings.context_gating:
        probabilities = ContextGating(seed=next(seeds), dtype="float32", name="probabilities_gated")(probabilities)
    return keras.Model(inputs, probabilities, name="video_classifier")


def training_view(model: keras.Model) -> tuple[keras.Model, bool]:
    """The model to train: it ends in logits where the maths allows, which keeps the loss stable.

    Args:
        model: from `build_video_classifier`, or loaded from a file.

    Returns:
        A model with the same inputs and the same weights, and whether its outputs are logits. Gated probabilities have
        no logits: then it is the model itself, and False.
    """
    if isinstance(model.layers[-1], ContextGating):
        return model, False
    return keras.Model(model.input, model.get_layer("logits").output, name=model.name), True


def _seeds(seed: int) -> Iterator[int]:
    generator = Random(seed)
    while True:
        yield generator.getrandbits(31)


def _pool(
    settings: ModelSettings, streams: tuple[Stream, ...], seeds: Iterator[int]
) -> tuple[dict[str, KerasTensor], list[KerasTensor]]:
    """The inputs of the model and one vector for each stream, [batch, width of the stream]."""
    if isinstance(settings.encoder, AverageSettings):
        mean = keras.Input((WIDTH,), name="mean")
        features = l2_normalize(mean) if settings.normalize_frames else mean
        return {"mean": mean}, [_columns(features, stream) for stream in streams]

    frames = keras.Input((None, WIDTH), dtype="uint8", name="frames")
    num_frames = keras.Input((), dtype="int32", name="num_frames")
    features, mask = FrameDecoder(settings.normalize_frames, name="decoder")(frames, num_frames)
    encoders = [_encoder(settings.encoder, stream, next(seeds)) for stream in streams]
    pooled = [encode(_columns(features, stream), mask) for encode, stream in zip(encoders, streams, strict=True)]
    return {"frames": frames, "num_frames": num_frames}, pooled


def _columns(features: KerasTensor, stream: Stream) -> KerasTensor:
    return features if stream is JOINED_STREAM else features[..., stream.start : stream.stop]


def _encoder(settings: FrameEncoderSettings, stream: Stream, seed: int) -> keras.layers.Layer:
    """The layer that pools one stream: (frames [B,F,D], mask [B,F]) -> [B,E], the same whatever the padding."""
    match settings:
        case NetVLADSettings(clusters=clusters, batch_norm=batch_norm):
            if stream is AUDIO_STREAM:
                clusters //= 2
            return NetVLAD(clusters, stream.width, batch_norm, seed, name=f"{stream.name}_encoder")
