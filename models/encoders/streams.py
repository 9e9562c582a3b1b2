"""The streams of a video's frames and the layer that pools one of them."""

from dataclasses import dataclass
from typing import assert_never

import keras

from models.encoders.dbof import DBoF
from models.encoders.net_fv import NetFV
from models.encoders.net_vlad import NetVLAD
from models.encoders.next_vlad import NeXtVLAD
from models.encoders.recurrent import RecurrentEncoder
from models.encoders.transformer import Transformer
from models.features import RGB_WIDTH, WIDTH
from models.settings import (
    DBoFSettings,
    FrameEncoderSettings,
    NetFVSettings,
    NetVLADSettings,
    NeXtVLADSettings,
    RecurrentSettings,
    TransformerSettings,
)


@dataclass(frozen=True)
class Stream:
    """The columns of the joined 1152-wide frames that one encoder sees."""

    name: str
    start: int
    stop: int

    @property
    def width(self) -> int:
        """Features of a frame, and of the pooled video: projections keep the width."""
        return self.stop - self.start


RGB_STREAM = Stream("rgb", 0, RGB_WIDTH)
AUDIO_STREAM = Stream("audio", RGB_WIDTH, WIDTH)
JOINED_STREAM = Stream("joined", 0, WIDTH)


def build_encoder(settings: FrameEncoderSettings, stream: Stream, seed: int) -> keras.layers.Layer:
    """The layer that pools one stream: (frames [B,F,D], mask [B,F]) -> [B,E], the same whatever the padding.

    Args:
        settings: of the visual stream's encoder; an audio stream has a part of its clusters.
        stream: names the layer and gives the width of projections.
        seed: of everything random in the layer.
    """
    name, audio = f"{stream.name}_encoder", stream is AUDIO_STREAM
    match settings:
        case RecurrentSettings(name=cell, layers=layers, units=units):
            return RecurrentEncoder(cell, layers, units, seed=seed, name=name)
        case TransformerSettings(heads=heads, dense_units=dense_units, layers=layers, key_dim=key_dim):
            return Transformer(heads, dense_units, layers, key_dim, seed=seed, name=name)
        case DBoFSettings(clusters=clusters, batch_norm=batch_norm, add_max=add_max):
            return DBoF(clusters // 8 if audio else clusters, stream.width, batch_norm, add_max, seed=seed, name=name)
        case NetVLADSettings(clusters=clusters, batch_norm=batch_norm):
            return NetVLAD(clusters // 2 if audio else clusters, stream.width, batch_norm, seed=seed, name=name)
        case NetFVSettings(clusters=clusters, batch_norm=batch_norm):
            return NetFV(clusters // 2 if audio else clusters, stream.width, batch_norm, seed=seed, name=name)
        case NeXtVLADSettings(clusters=clusters, groups=groups):
            share = 2 if audio else 1
            return NeXtVLAD(clusters // share, groups // share, seed=seed, name=name)
    assert_never(settings)
