"""TFRecord framing that goes on after a damaged record and says which one it was.

A record is: length (uint64), masked CRC-32C of those 8 bytes, the payload, masked CRC-32C of the payload; all
little-endian. TensorFlow's and Beam's readers stop at the first damage, which would lose the rest of the file.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import google_crc32c


@dataclass(frozen=True)
class Damage:
    """A record whose payload cannot be trusted; `lost_bytes` counts what follows it where nothing more can be read."""

    reason: str
    lost_bytes: int = 0


def _masked_crc(payload: bytes) -> int:
    crc = google_crc32c.value(payload)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def read_records(file: BinaryIO, size: int) -> Iterator[bytes | Damage]:
    """Yields each payload of an open TFRecord file of `size` bytes, or what is wrong in its place.

    After a payload whose checksum is wrong the next record is read as usual; after a wrong length nothing can be,
    and the Damage says how many bytes are lost.
    """
    if size == 0:
        yield Damage("the file is empty (0 bytes)")
        return
    position = 0
    while header := file.read(12):
        if len(header) < 12:
            yield Damage(f"the file ends inside a record header ({len(header)} of 12 bytes)", len(header))
            return
        length, crc = struct.unpack("<QI", header)
        if crc != _masked_crc(header[:8]):
            yield Damage("the checksum of the record's length is wrong (CRC-32C)", max(size - position, 12))
            return
        left = size - position - 12
        if left < length + 4:
            yield Damage(f"the file ends inside the record ({left} of {length + 4} bytes)", size - position)
            return
        body = file.read(length + 4)
        position += 16 + length
        payload = body[:-4]
        if struct.unpack("<I", body[-4:])[0] != _masked_crc(payload):
            yield Damage("the checksum of the record is wrong (CRC-32C)")
        else:
            yield payload


def write_record(file: BinaryIO, payload: bytes) -> None:
    """Appends one record to an open file."""
    length = struct.pack("<Q", len(payload))
    file.write(length + struct.pack("<I", _masked_crc(length)))
    file.write(payload)
    file.write(struct.pack("<I", _masked_crc(payload)))
