"""What kind of file is given in place of TFRecords."""

from google.protobuf.message import DecodeError
from tensorflow.core.example import example_pb2

# By their first bytes.
_KINDS = (
    (b"\x1f\x8b", "gzip in gzip"),
    (b"PK\x03\x04", "a zip archive (or an .npz of NumPy)"),
    (b"BZh", "bzip2: unpack it"),
    (b"\xfd7zXZ", "xz: unpack it"),
    (b"\x28\xb5\x2f\xfd", "zstd: unpack it"),
    (b"PAR1", "Parquet"),
    (b"\x89HDF", "HDF5"),
    (b"\x93NUMPY", "an array of NumPy"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"%PDF", "PDF"),
    (b"SQLite format 3", "an SQLite database"),
    (b"\x1aE\xdf\xa3", "a Matroska or WebM video"),
    (b"RIFF", "an AVI video or a WAV sound"),
)


def looks_like(content: bytes) -> str:
    """The kind of a file in words, "" where it is unknown.

    Args:
        content: all of it, or its first megabytes.
    """
    for begin, kind in _KINDS:
        if content.startswith(begin):
            return kind
    if content[4:8] == b"ftyp":
        return "an MP4 video"
    if content[257:262] == b"ustar":
        return "a tar archive: unpack it"
    if _is_example(content):
        return "a single serialized tf.Example or tf.SequenceExample without the framing of TFRecords"
    head = content[:4096]
    try:
        text = head.decode("utf-8-sig").lstrip().lower()
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:  # else a character is cut off
            return ""
        text = head[: error.start].decode("utf-8-sig").lstrip().lower()
    if not text or any(ord(character) < 32 and character not in "\t\r\n\f" for character in text):
        return ""
    if text.startswith(("<!doctype html", "<html", "<")):
        return "HTML or XML, say a server's answer that was saved in its place"
    if text.startswith(("{", "[")):
        return "JSON"
    if text.startswith("version https://git-lfs"):
        return "a pointer of Git LFS: fetch the file itself"
    first = text.splitlines()[0]
    return "CSV" if "," in first or "\t" in first else "text"


def _is_example(content: bytes) -> bool:
    try:
        sequence = example_pb2.SequenceExample.FromString(content)
    except DecodeError:
        return False
    return bool(sequence.context.feature or sequence.feature_lists.feature_list)
