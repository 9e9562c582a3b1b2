"""The layer that pools one stream of a video's frames."""

from typing import assert_never

import keras

from models.encoders.dbof import DBoF
from models.encoders.net_fv import NetFV
from models.encoders.net_vlad import NetVLAD
from models.encoders.next_vlad import NeXtVLAD
from models.encoders.recurrent import RecurrentEncoder
from models.encoders.transformer import Transformer
from models.features import Stream
from models.settings import (
    DBoFSettings,
    FrameEncoderSettings,
    NetFVSettings,
    NetVLADSettings,
    NeXtVLADSettings,
    RecurrentSettings,
    TransformerSettings,
    for_stream,
)


def build_encoder(settings: FrameEncoderSettings, stream: Stream, seed: int) -> keras.layers.Layer:
    """Builds the layer that pools one stream.

    Args:
        settings: the encoder of an experiment; `for_stream` decides the sizes that this stream gets.
        stream: gives the layer its name and projections their width.
        seed: of everything random in the layer.

    Returns:
        A layer that maps frames, float [batch, frames, D], and their mask, bool [batch, frames], to one vector a video,
        [batch, width]; independent of the padding.

    Example:
        >>> from models.features import AUDIO_STREAM
        >>> encoder = build_encoder(NetVLADSettings(name="netvlad", clusters=64), AUDIO_STREAM, seed=0)
        >>> encoder.name, encoder.clusters, encoder.hidden_size
        ('audio_encoder', 32, 128)
    """
    name = f"{stream.name}_encoder"
    settings = for_stream(settings, stream)
    match settings:
        case RecurrentSettings(name=cell, layers=layers, units=units):
            return RecurrentEncoder(cell, layers, units, seed=seed, name=name)
        case TransformerSettings(heads=heads, dense_units=dense_units, layers=layers, key_dim=key_dim):
            return Transformer(heads, dense_units, layers, key_dim, seed=seed, name=name)
        case DBoFSettings(clusters=clusters, batch_norm=batch_norm, add_max=add_max):
            return DBoF(clusters, stream.width, batch_norm, add_max, seed=seed, name=name)
        case NetVLADSettings(clusters=clusters, batch_norm=batch_norm):
            return NetVLAD(clusters, stream.width, batch_norm, seed=seed, name=name)
        case NetFVSettings(clusters=clusters, batch_norm=batch_norm):
            return NetFV(clusters, stream.width, batch_norm, seed=seed, name=name)
        case NeXtVLADSettings(clusters=clusters, groups=groups):
            return NeXtVLAD(clusters, groups, seed=seed, name=name)
    assert_never(settings)
