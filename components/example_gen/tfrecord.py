"""TFRecord framing: length (8 bytes), its masked CRC-32C (4), payload, the payload's masked CRC-32C (4)."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol

import google_crc32c
import numpy as np

from components.example_gen.file_kinds import looks_like
from models.errors import plural

# Bytes read at a time.
CHUNK = 2**20

# Compressed bytes that are decompressed at a time: damage loses the rest of them too.
PIECE = 2**14

# The longest record that is read, 15 hours of frames: a false length must not allocate memory.
LONGEST_RECORD = 2**26

# Limit on the bytes of payloads that are checked in vain while the next record is searched for: false lengths could
# cause any number of checks.
MOST_WASTED_BYTES = 2**30

# Bytes of a record before and after its payload.
HEADER, FOOTER = 12, 4


@dataclass(frozen=True)
class Damage:
    """Damage in place of one or more records; `lost_bytes` were skipped to reach the next whole record."""

    reason: str
    lost_bytes: int


def read_records(file: BinaryIO) -> Iterator[bytes | Damage]:
    """Yields each payload of an open TFRecord file, plain or compressed with gzip or zlib, and Damage between them.

    After damage reading continues with the next whole record, wherever it begins: TFRecords inside a damaged payload
    are read as records.
    """
    source = _Source(file)
    if not source.need(1):
        yield Damage("the file is empty (0 bytes)", 0)
        return
    if source.header() is None:
        source = _inflated(source)
    seen = False
    try:
        while source.need(1):
            payload = source.read_payload()
            if isinstance(payload, bytes):
                seen = True
                yield payload
                continue
            # The first bytes of a length may be letters (33 is "!"); the fourth is zero in records below 16 MiB.
            if not seen and source.need(4) and (kind := looks_like(source.head())):
                yield Damage(f"not a TFRecord file: it looks like {kind}", 0)
                return
            lost = source.skip_to_next()
            more = f", {plural(lost, 'byte')} lost" if lost > source.claimed else ""
            yield Damage(payload + more, lost)
    except _CompressionError as error:
        yield error.damage


def write_record(file: BinaryIO, payload: bytes) -> None:
    """Appends one record to an open file."""
    length = struct.pack("<Q", len(payload))
    file.write(length + struct.pack("<I", _masked_crc(length)))
    file.write(payload)
    file.write(struct.pack("<I", _masked_crc(payload)))


def record_size(payload: bytes) -> int:
    """How many bytes `write_record` writes."""
    return HEADER + len(payload) + FOOTER


def _masked_crc(payload: bytes) -> int:
    crc = google_crc32c.value(payload)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Source:
    """A stream of records that reads ahead; it holds no more than a record and a chunk.

    Attributes:
        claimed: size in bytes of the last damaged record by its header, 0 where that is unknown.
    """

    def __init__(self, file: _Readable) -> None:
        self._file, self._data, self._at, self._ended = file, b"", 0, False
        self._wasted_bytes = 0
        self.claimed = 0

    def need(self, size: int) -> bool:
        """Reads ahead; whether at least `size` bytes are left."""
        while len(self._data) - self._at < size and not self._ended:
            more = self._file.read(max(CHUNK, size - len(self._data) + self._at))
            self._ended = not more
            self._data, self._at = self._data[self._at :] + more, 0
        return len(self._data) - self._at >= size

    def head(self) -> bytes:
        """The next bytes, up to the longest record."""
        self.need(LONGEST_RECORD)
        return self._data[self._at :]

    def rest(self) -> "_Prefixed":
        """The stream from the next byte on."""
        return _Prefixed(self._data[self._at :], self._file)

    def header(self, at: int = 0) -> int | None:
        """The length of the record that begins `at` bytes ahead; None where none begins there."""
        if not self.need(at + HEADER):
            return None
        start = self._at + at
        length, crc = struct.unpack("<QI", self._data[start : start + HEADER])
        return length if crc == _masked_crc(self._data[start : start + 8]) else None

    def read_payload(self) -> bytes | str:
        """Reads the next payload; the reason, and nothing read, where it is damaged."""
        self.claimed = 0
        length = self.header()
        if length is None:
            left = len(self._data) - self._at
            if left < HEADER:
                return f"the file ends inside a record header ({left} of {HEADER} bytes)"
            return "the checksum of the record's length is wrong (CRC-32C)"
        if length > LONGEST_RECORD:
            return f"the record has {length:,} bytes, at most {LONGEST_RECORD:,} are read"
        if not self.need(HEADER + length + FOOTER):
            left = len(self._data) - self._at - HEADER
            return f"the file ends inside the record ({left} of {length + FOOTER} bytes)"
        payload = self._payload(length)
        if payload is None:
            self.claimed = HEADER + length + FOOTER
            return "the checksum of the record is wrong (CRC-32C)"
        self._at += HEADER + length + FOOTER
        return payload

    def skip_to_next(self) -> int:
        """Skips damage up to the next whole record or the end; returns the bytes skipped."""
        if self.claimed and (self._is_whole(self.claimed) or not self.need(self.claimed + 1)):
            self._at += self.claimed
            return self.claimed
        self._at += 1
        skipped = 1
        while self.need(HEADER + FOOTER) and self._wasted_bytes <= MOST_WASTED_BYTES:
            self.need(CHUNK)
            # Checking a place may read more: the new bytes are checked in the next round.
            checked = len(self._data) - self._at - (HEADER + FOOTER - 1)
            for place in self._candidates():
                if self._is_whole(int(place)):
                    self._at += int(place)
                    return skipped + int(place)
            self._at += checked
            skipped += checked
        while self.need(1):
            skipped += len(self._data) - self._at
            self._at = len(self._data)
        return skipped

    def _candidates(self) -> np.ndarray:
        # Lengths below 2**32 with a checksum other than 0: a few of a million positions in frames.
        data = np.frombuffer(self._data, np.uint8)[self._at :]
        last = len(data) - (HEADER + FOOTER) + 1
        high = data[4 : last + 4] | data[5 : last + 5] | data[6 : last + 6] | data[7 : last + 7]
        crc = data[8 : last + 8] | data[9 : last + 9] | data[10 : last + 10] | data[11 : last + 11]
        return np.flatnonzero((high == 0) & (crc != 0))

    def _is_whole(self, at: int) -> bool:
        length = self.header(at)
        if length is None or length > LONGEST_RECORD or not self.need(at + HEADER + length + FOOTER):
            return False
        whole = self._payload(length, at) is not None
        self._wasted_bytes += 0 if whole else length
        return whole

    def _payload(self, length: int, at: int = 0) -> bytes | None:
        start = self._at + at + HEADER
        payload = self._data[start : start + length]
        [crc] = struct.unpack("<I", self._data[start + length : start + length + FOOTER])
        return payload if crc == _masked_crc(payload) else None


class _Prefixed:
    """A stream whose first bytes were read already."""

    def __init__(self, begin: bytes, file: _Readable) -> None:
        self._begin, self._file = begin, file

    def read(self, size: int = CHUNK, /) -> bytes:
        begin, self._begin = self._begin[:size], self._begin[size:]
        return begin or self._file.read(size)


class _CompressionError(Exception):
    """Compressed data that cannot be read any further; `damage` says why and how many bytes of the file are left."""

    def __init__(self, reason: str, left: int) -> None:
        super().__init__(reason)
        self.damage = Damage(reason + (f", {plural(left, 'byte')} lost" if left else ""), left)


class _Inflated:
    """The content of a gzip (of one or more members) or zlib stream, decompressed as it is read."""

    def __init__(self, file: _Readable) -> None:
        self._file, self._inflate, self._waiting = file, _inflater(), b""

    def read(self, size: int, /) -> bytes:
        while True:
            self._waiting = self._waiting or self._file.read(PIECE)
            if self._inflate.eof:
                self._waiting = self._waiting.lstrip(b"\0")  # gzip allows such padding
                if not self._waiting:
                    self._waiting = self._file.read(PIECE)
                    if not self._waiting:
                        return b""
                    continue
                self._inflate = _inflater()
            elif not self._waiting:
                raise _CompressionError("the compressed data end early: the rest is not in the file", 0)
            try:
                content = self._inflate.decompress(self._waiting, size)
            except zlib.error as error:
                raise _CompressionError(f"the compressed data are damaged ({error})", self._count_rest()) from None
            self._waiting = self._inflate.unconsumed_tail or self._inflate.unused_data
            if content:
                return content

    def _count_rest(self) -> int:
        left = len(self._waiting)
        while more := self._file.read(CHUNK):
            left += len(more)
        return left


def _inflater() -> Any:
    return zlib.decompressobj(zlib.MAX_WBITS | 32)  # gzip or zlib


def _inflated(source: _Source) -> _Source:
    """The same source, decompressed where it begins as gzip or zlib does."""
    rest = source.rest()
    begin = b""
    while len(begin) < PIECE and (more := rest.read(PIECE)):
        begin += more
    whole = _Prefixed(begin, rest)
    return _Source(_Inflated(whole)) if begin[:2] == b"\x1f\x8b" or _is_zlib(begin) else _Source(whole)


def _is_zlib(begin: bytes) -> bool:
    if begin[:1] != b"\x78" or int.from_bytes(begin[:2], "big") % 31:
        return False
    try:  # the damaged header of a record may begin so too
        zlib.decompressobj().decompress(begin[:512])
    except zlib.error:
        return False
    return True
