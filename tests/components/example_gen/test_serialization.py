"""Serialized examples: the bytes of protobuf's own serialization, and where values lie in them."""

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from tensorflow.core.example import example_pb2, feature_pb2

from components.example_gen.serialization import serialize

streams = st.integers(0, 70_000).map(lambda size: np.random.default_rng(size).bytes(size))
floats = st.lists(st.floats(width=32, allow_nan=False), max_size=40)
# Protobuf sorts an empty name behind the others.
names = st.lists(st.text(min_size=1, max_size=200), unique=True, min_size=3)
ids = st.lists(st.integers(-(2**63), 2**63 - 1), max_size=9)


@given(stream=streams, means=floats, labels=ids, names=names)
def test_an_example_has_the_bytes_of_a_deterministic_serialization(
    stream: bytes, means: list[float], labels: list[int], names: list[str]
) -> None:
    features: dict[str, Any] = {name: feature_pb2.Feature() for name in names}
    features[names[0]] = feature_pb2.Feature(bytes_list=feature_pb2.BytesList(value=[stream]))
    features[names[1]] = feature_pb2.Feature(float_list=feature_pb2.FloatList(value=means))
    features[names[2]] = feature_pb2.Feature(int64_list=feature_pb2.Int64List(value=labels))
    content, starts = serialize(features, names[:2])
    example = example_pb2.Example(features=feature_pb2.Features(feature=features))
    assert content == example.SerializeToString(deterministic=True)
    assert starts.keys() == set(names[:2])
    assert content[starts[names[0]] :].startswith(stream)
    assert content[starts[names[1]] :].startswith(np.array(means, np.float32).tobytes())
