"""Serializes a tf.Example, and says where in it the values of features lie."""

from collections.abc import Mapping, Sequence

from tensorflow.core.example import feature_pb2


def serialize(features: Mapping[str, feature_pb2.Feature], indexed: Sequence[str]) -> tuple[bytes, dict[str, int]]:
    """Serializes a tf.Example.

    Args:
        features: by name.
        indexed: names of those that hold one byte string, or floats.

    Returns:
        The bytes, equal to those of a deterministic serialization, and for each indexed feature the place in them where
        its values begin.
    """
    # Each entry of a map is a field of its own, so entries that are serialized one by one make a whole map. The values
    # are the last bytes of an entry, floats packed in four bytes each.
    entries = [feature_pb2.Features(feature={name: features[name]}).SerializeToString() for name in sorted(features)]
    head = b"\n" + _varint(sum(map(len, entries)))
    starts, end = {}, len(head)
    for name, entry in zip(sorted(features), entries, strict=True):
        end += len(entry)
        if name in indexed:
            feature = features[name]
            size = sum(map(len, feature.bytes_list.value)) or 4 * len(feature.float_list.value)
            starts[name] = end - size
    return b"".join([head, *entries]), starts


def _varint(value: int) -> bytes:
    """A number as protobuf writes it: seven bits a byte, the lowest first."""
    groups = [value >> shift & 0x7F for shift in range(0, max(value.bit_length(), 1), 7)]
    return bytes([*(group | 0x80 for group in groups[:-1]), groups[-1]])
