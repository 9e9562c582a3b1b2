"""The whole network of an experiment: frames or their mean -> encoder -> gating -> classifier -> probabilities."""

from collections.abc import Iterator
from random import Random
from typing import Any

import keras
from keras import KerasTensor, ops

from models.encoders.streams import build_encoder
from models.features import (
    AUDIO_STREAM,
    FRAMES,
    JOINED_STREAM,
    MEAN,
    NUM_FRAMES,
    RGB_STREAM,
    WIDTH,
    Level,
    Stream,
)
from models.layers.context_gating import ContextGating
from models.layers.dense_stack import dense_stack
from models.layers.masking import frame_mask
from models.layers.mixture_of_experts import MixtureOfExperts
from models.layers.normalization import MOMENTUM, l2_normalize
from models.layers.quantization import dequantize
from models.layers.squeeze_excitation import SqueezeExcitation
from models.settings import (
    AverageSettings,
    ModelSettings,
    NeighboursSettings,
    NeXtVLADSettings,
    Normalization,
    WholeModelSettings,
)


@keras.saving.register_keras_serializable("yt8m")
class FrameDecoder(keras.layers.Layer):
    """Turns packed frames into the inputs of an encoder: features and a mask.

    Args:
        normalize: scales each joined frame to length 1, as YouTube-8M's reference code does, or each of its `streams`.

    Call arguments:
        frames: uint8, [batch, frames, 1152]; padding may hold any values.
        num_frames: int, [batch].

    Returns:
        features (dtype of the layer, same shape as `frames`) and mask (bool, [batch, frames]; true for real frames).

    Example:
        >>> features, mask = FrameDecoder(normalize=True)(ops.ones((2, 5, 1152), "uint8"), ops.array([5, 3]))
        >>> features.shape, mask.shape
        (TensorShape([2, 5, 1152]), TensorShape([2, 5]))
    """

    def __init__(self, normalize: Normalization = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.normalize = normalize

    def call(self, frames: KerasTensor, num_frames: KerasTensor) -> tuple[KerasTensor, KerasTensor]:
        """Dequantizes in float32, then rounds to the dtype of the layer."""
        features = _normalized(dequantize(frames), self.normalize)
        return ops.cast(features, self.compute_dtype), frame_mask(num_frames, frames)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "normalize": self.normalize}


def reads_frames(settings: ModelSettings, level: Level) -> bool:
    """Whether the model reads frames; if not, it reads the mean that `mean_of_frames` computes."""
    return level == "frame" and not isinstance(settings.encoder, AverageSettings | NeighboursSettings)


def video_inputs(frames: bool) -> dict[str, KerasTensor]:
    """Symbolic inputs of a model.

    Args:
        frames: whether the model reads frames.

    Returns:
        `frames`, packed, and `num_frames`, the number of real ones; or `mean`, that of the real frames.
    """
    if not frames:
        return {MEAN: keras.Input((WIDTH,), name=MEAN)}
    return {
        FRAMES: keras.Input((None, WIDTH), dtype="uint8", name=FRAMES),
        NUM_FRAMES: keras.Input((), dtype="int32", name=NUM_FRAMES),
    }


def build_video_classifier(settings: ModelSettings, classes: int, seed: int) -> keras.Model:
    """Builds the network of an experiment: section 5.1 and figures 9 to 13 of the thesis.

    With `hidden_units_audio` each stream has its own dropout, gating and dense layers, and their outputs are joined;
    without, the pooled streams are joined first. The same seed gives the same initial weights and dropout masks.

    Args:
        settings: of the network.
        classes: number of labels.
        seed: of everything random in the network.

    Returns:
        A functional model. Its inputs are `mean`, float32 [batch, 1152], for the average encoder, else `frames`, uint8
        [batch, frames, 1152], and `num_frames`, int32 [batch]; padding may hold any values. Its outputs are
        probabilities, float32 [batch, classes], in every precision.

    Example:
        >>> settings = ModelSettings.model_validate({"encoder": {"name": "lstm", "units": 8}, "two_stream": True})
        >>> model = build_video_classifier(settings, classes=10, seed=0)
        >>> model({"frames": ops.ones((2, 5, 1152), "uint8"), "num_frames": ops.array([5, 3])}).shape
        TensorShape([2, 10])
    """
    seeds = _seeds(seed)
    inputs, pooled = _pool(settings, seeds)
    streams = settings.streams
    if len(pooled) > 1 and not settings.hidden_units_audio:
        streams, pooled = (JOINED_STREAM,), [keras.layers.Concatenate(name="pooled")(pooled)]

    # A model with one stream uses the first stack only.
    stacks = (settings.hidden_units, settings.hidden_units_audio)
    hidden = []
    for stream, video, units in zip(streams, pooled, stacks, strict=False):
        video = _refine(settings, stream, video, seeds)
        hidden.append(dense_stack(video, units, settings.dropout, seeds, f"{stream.name}_hidden"))
    last = hidden[0] if len(hidden) == 1 else keras.layers.Concatenate(name="hidden")(hidden)

    # In float32 in every precision: bfloat16 has only two probabilities between 0.99 and 1.
    if settings.experts:
        experts = MixtureOfExperts(classes, settings.experts, seed=next(seeds), dtype="float32", name="experts")
        probabilities = experts(last)
    else:
        kernel = keras.initializers.GlorotUniform(seed=next(seeds))
        logits = keras.layers.Dense(classes, kernel_initializer=kernel, dtype="float32", name="logits")(last)
        probabilities = keras.layers.Activation("sigmoid", dtype="float32", name="probabilities")(logits)
    if settings.context_gating:
        probabilities = _gate(settings, "probabilities", seeds, dtype="float32")(probabilities)
    return keras.Model(inputs, probabilities, name="video_classifier")


def training_view(model: keras.Model) -> tuple[keras.Model, bool]:
    """The model to train: it ends in logits where it has any, which keeps the loss numerically stable.

    Args:
        model: from `build_video_classifier`, or loaded from a file.

    Returns:
        A model with the same inputs and weights, so that `model` is saved without the optimizer's state; and whether
        its outputs are logits, which gated probabilities, mixtures of experts and ensembles do not have.

    Example:
        >>> model = build_video_classifier(ModelSettings.model_validate({"encoder": {"name": "average"}}), 10, seed=0)
        >>> view, has_logits = training_view(model)
        >>> view.output.name == model.get_layer("logits").output.name, has_logits
        (True, True)
    """
    has_logits = model.layers[-1].name == "probabilities"
    output = model.get_layer("logits").output if has_logits else model.output
    return keras.Model(model.input, output, name=model.name), has_logits


def _seeds(seed: int) -> Iterator[int]:
    generator = Random(seed)
    while True:
        yield generator.getrandbits(31)


def _pool(settings: ModelSettings, seeds: Iterator[int]) -> tuple[dict[str, KerasTensor], list[KerasTensor]]:
    """The inputs of the model and one vector for each stream, [batch, width of the stream]."""
    if isinstance(settings.encoder, AverageSettings):
        inputs = video_inputs(frames=False)
        features = _normalized(inputs[MEAN], settings.normalize_frames)
        return inputs, [_columns(features, stream) for stream in settings.streams]

    assert not isinstance(settings.encoder, WholeModelSettings), "built by build_neighbours or build_ensemble"
    inputs = video_inputs(frames=True)
    features, mask = FrameDecoder(settings.normalize_frames, name="decoder")(inputs[FRAMES], inputs[NUM_FRAMES])
    encoders = [(stream, build_encoder(settings.encoder, stream, next(seeds))) for stream in settings.streams]
    return inputs, [encode(_columns(features, stream), mask) for stream, encode in encoders]


def _normalized(features: KerasTensor, normalization: Normalization) -> KerasTensor:
    if normalization == "streams":
        streams = [l2_normalize(_columns(features, stream)) for stream in (RGB_STREAM, AUDIO_STREAM)]
        return ops.concatenate(streams, axis=-1)
    return l2_normalize(features) if normalization else features


def _columns(features: KerasTensor, stream: Stream) -> KerasTensor:
    return features if stream == JOINED_STREAM else features[..., stream.start : stream.stop]


def _refine(settings: ModelSettings, stream: Stream, video: KerasTensor, seeds: Iterator[int]) -> KerasTensor:
    """The layers between a pooled video and its dense layers: dropout, those of NeXtVLAD, context gating."""
    if settings.pooled_dropout:
        dropout = keras.layers.Dropout(settings.pooled_dropout, seed=next(seeds), name=f"{stream.name}_dropout")
        video = dropout(video)
    if isinstance(settings.encoder, NeXtVLADSettings):
        kernel = keras.initializers.GlorotUniform(seed=next(seeds))
        project = keras.layers.Dense(
            settings.encoder.hidden_size, use_bias=False, kernel_initializer=kernel, name=f"{stream.name}_projection"
        )
        norm = keras.layers.BatchNormalization(momentum=MOMENTUM, name=f"{stream.name}_projection_norm")
        video = SqueezeExcitation(seed=next(seeds), name=f"{stream.name}_excited")(norm(project(video)))
    if settings.context_gating:
        video = _gate(settings, stream.name, seeds)(video)
    return video


def _gate(settings: ModelSettings, name: str, seeds: Iterator[int], **kwargs: Any) -> ContextGating:
    return ContextGating(
        settings.gate_batch_norm, settings.gate_without_diagonal, seed=next(seeds), name=f"{name}_gated", **kwargs
    )
