"""The cost of a model, from its settings alone: parameters and the arithmetic of one forward pass."""

from dataclasses import dataclass
from typing import assert_never

from models.features import MAX_FRAMES, Stream
from models.settings import (
    AverageSettings,
    DBoFSettings,
    FrameEncoderSettings,
    ModelSettings,
    NetFVSettings,
    NetVLADSettings,
    NeXtVLADSettings,
    RecurrentSettings,
    TransformerSettings,
    WholeModelSettings,
    for_stream,
)


@dataclass(frozen=True)
class Cost:
    """The cost of a model or a part of it.

    Attributes:
        parameters: number of weights, as Keras' `count_params` counts them.
        flops: of one video, 2 for each multiply-add.
    """

    parameters: int = 0
    flops: int = 0

    def __add__(self, other: "Cost") -> "Cost":
        """The cost of both."""
        return Cost(self.parameters + other.parameters, self.flops + other.flops)

    def __mul__(self, times: int) -> "Cost":
        """The cost of `times` such parts, each with its own weights."""
        return Cost(self.parameters * times, self.flops * times)


def cost(settings: ModelSettings, classes: int, frames: int = MAX_FRAMES) -> Cost | None:
    """Parameters and forward FLOPs of the network that `build_video_classifier` builds.

    FLOPs are those of the matrix products that one more video in a batch adds. Not counted: elementwise work
    (activations, norms, sums over frames, softmax), products of weights with weights (NeXtVLAD has one a batch) and
    decoding frames; the average encoder reads means, so `frames` does not matter there. The moments of batch
    normalizations are parameters, as in Keras.

    Args:
        settings: of the network.
        classes: number of labels.
        frames: number of frames of the video.

    Returns:
        The cost; None for an ensemble, whose cost depends on its members, and for neighbours, whose cost depends on the
        number of training videos.

    Example:
        >>> cost(ModelSettings.model_validate({"encoder": {"name": "average"}}), classes=10)
        Cost(parameters=11530, flops=23040)
    """
    encoder = settings.encoder
    if isinstance(encoder, WholeModelSettings):
        return None
    pooled = [_encoder(encoder, stream, frames) for stream in settings.streams]
    total = sum((part for _, part in pooled), Cost())
    videos = [width for width, _ in pooled]
    if not settings.hidden_units_audio:
        videos = [sum(videos)]

    last = 0
    for width, hidden_units in zip(videos, (settings.hidden_units, settings.hidden_units_audio), strict=False):
        if isinstance(encoder, NeXtVLADSettings):
            hidden = encoder.hidden_size
            total += _dense(width, hidden, bias=False) + _batch_norm(hidden) + _squeeze_excitation(hidden)
            width = hidden
        total += _gate(settings, width)
        for units in hidden_units:
            total += _dense(width, units)
            width = units
        last += width

    if settings.experts:
        total += _dense(last, classes * (settings.experts + 1), bias=False) + _dense(last, classes * settings.experts)
    else:
        total += _dense(last, classes)
    return total + _gate(settings, classes)


def _encoder(settings: AverageSettings | FrameEncoderSettings, stream: Stream, frames: int) -> tuple[int, Cost]:
    """The width of one stream's pooled video, and the cost of pooling its frames."""
    width = stream.width
    if isinstance(settings, AverageSettings):
        return width, Cost()
    settings = for_stream(settings, stream)
    match settings:
        case RecurrentSettings(name=cell, layers=layers, units=units):
            first = _recurrent(cell, width, units, frames)
            return units, first + _recurrent(cell, units, units, frames) * (layers - 1)
        case TransformerSettings(layers=layers):
            return width, Cost(MAX_FRAMES * width) + _transformer(settings, width, frames) * layers
        case DBoFSettings(clusters=clusters, batch_norm=batch_norm, add_max=add_max):
            shares = _assignment(width, clusters, batch_norm, frames)
            return width, shares + _dense(clusters * (2 if add_max else 1), width, bias=False)
        case NetVLADSettings(clusters=clusters, batch_norm=batch_norm):
            sums = Cost(width * clusters, 2 * frames * width * clusters)
            shares = _assignment(width, clusters, batch_norm, frames)
            return width, shares + sums + _dense(width * clusters, width, bias=False)
        case NetFVSettings(clusters=clusters, batch_norm=batch_norm):
            sums = Cost(width * clusters, 2 * frames * width * clusters) * 2
            shares = _assignment(width, clusters, batch_norm, frames)
            return width, shares + sums + _dense(2 * width * clusters, width, bias=False)
        case NeXtVLADSettings(clusters=clusters, groups=groups):
            return _next_vlad(width, clusters, groups, frames)
    assert_never(settings)


def _dense(inputs: int, units: int, bias: bool = True, rows: int = 1) -> Cost:
    """A matrix [inputs, units] by which `rows` vectors are multiplied."""
    return Cost(inputs * units + units * bias, 2 * rows * inputs * units)


def _batch_norm(width: int) -> Cost:
    """Scale, shift and the two moving moments."""
    return Cost(4 * width)


def _assignment(width: int, clusters: int, batch_norm: bool, frames: int) -> Cost:
    shares = _dense(width, clusters, bias=not batch_norm, rows=frames)
    return shares + _batch_norm(clusters) if batch_norm else shares


def _recurrent(cell: str, width: int, units: int, frames: int) -> Cost:
    """Keras' cells; a GRU's gates have two biases each (reset_after)."""
    gates, biases = (4, 1) if cell == "lstm" else (3, 2)
    products = _dense(width + units, units, bias=False, rows=frames) * gates
    return products + Cost(gates * biases * units)


def _transformer(settings: TransformerSettings, width: int, frames: int) -> Cost:
    """Attention (queries, keys, values, output; every frame attends to every frame), two dense layers, two norms."""
    heads = settings.heads * (settings.key_dim or width)
    projections = _dense(width, heads, rows=frames) * 3 + _dense(heads, width, rows=frames)
    attention = Cost(0, 2 * 2 * frames * frames * heads)
    dense = _dense(width, settings.dense_units, rows=frames) + _dense(settings.dense_units, width, rows=frames)
    return projections + attention + dense + Cost(2 * 2 * width)


def _next_vlad(width: int, clusters: int, groups: int, frames: int) -> tuple[int, Cost]:
    """Frames are expanded to twice the width and split into groups that share one set of narrower centres."""
    wide = 2 * width
    narrow = wide // groups
    total = _dense(width, wide, rows=frames)
    # Attention and assignment of expanded frames; their matrices are multiplied with the expansion beforehand.
    for units, bias in ((groups, groups), (groups * clusters, 0)):
        total += Cost(wide * units + bias, 2 * frames * width * units)
    total += _batch_norm(groups * clusters)
    total += Cost(narrow * clusters, 2 * frames * groups * clusters * narrow)
    return narrow * clusters, total + _batch_norm(narrow * clusters)


def _squeeze_excitation(width: int) -> Cost:
    narrow = width // 8
    return _dense(width, narrow, bias=False) + _batch_norm(narrow) + _dense(narrow, width, bias=False)


def _gate(settings: ModelSettings, width: int) -> Cost:
    if not settings.context_gating:
        return Cost()
    gate = _dense(width, width, bias=not settings.gate_batch_norm)
    # A batch-normalized gate also keeps the moving mean of its inputs.
    return gate + _batch_norm(width) + Cost(parameters=width) if settings.gate_batch_norm else gate
