"""The sizes of each stream's encoder."""

from typing import Any

import pytest

from models.features import AUDIO_STREAM, JOINED_STREAM, RGB_STREAM
from models.settings import ModelSettings, for_stream

# Settings of the visual stream, and what the audio stream changes of them.
CASES: dict[str, tuple[dict[str, Any], dict[str, int]]] = {
    "lstm": ({"units": 100}, {}),
    "transformer": ({"heads": 2, "dense_units": 5}, {}),
    "dbof": ({"clusters": 4096}, {"clusters": 512}),
    "netvlad": ({"clusters": 100}, {"clusters": 50}),
    "netfv": ({"clusters": 60}, {"clusters": 30}),
    "nextvlad": ({"clusters": 128, "groups": 2}, {"clusters": 64, "groups": 1}),
}


@pytest.mark.parametrize("name", CASES)
def test_only_the_audio_stream_is_smaller(name: str) -> None:
    sizes, smaller = CASES[name]
    settings = ModelSettings.model_validate({"encoder": {"name": name, **sizes}}).encoder
    assert for_stream(settings, RGB_STREAM) == for_stream(settings, JOINED_STREAM) == settings
    assert for_stream(settings, AUDIO_STREAM).model_dump() == settings.model_dump() | smaller


def test_streams_cover_the_frame() -> None:
    encoder = {"name": "average"}
    assert ModelSettings.model_validate({"encoder": encoder}).streams == (JOINED_STREAM,)
    rgb, audio = ModelSettings.model_validate({"encoder": encoder, "two_stream": True}).streams
    assert (rgb.width, audio.width) == (1024, 128)
    assert (rgb.start, rgb.stop, audio.stop) == (JOINED_STREAM.start, audio.start, JOINED_STREAM.stop)
