"""The raw shards behind a pattern, on any file system that Beam reads."""

import hashlib
import os
import re
from dataclasses import dataclass

from apache_beam.io.filesystem import BeamIOError, CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions

from components.example_gen.packing import BadRecord, level_of
from components.example_gen.tfrecord import Damage, read_records
from models.errors import InputError
from models.features import Level

SPAN = re.compile(r"\{SPAN(?::(\d+))?\}")


@dataclass(frozen=True)
class InputFile:
    """One shard: where it lies, its size in bytes and when it was last changed (seconds since 1970, 0 if unknown)."""

    path: str
    size: int
    changed: float


@dataclass(frozen=True)
class InputFiles:
    """The shards of a data set, the pattern with its {SPAN} filled in, and that span (0 where there is none)."""

    files: tuple[InputFile, ...]
    pattern: str
    span: int

    @property
    def size(self) -> int:
        """Bytes of all shards."""
        return sum(file.size for file in self.files)

    @property
    def fingerprint(self) -> str:
        """Changes when a shard is added, removed, resized or rewritten."""
        lines = "\n".join(f"{file.path} {file.size} {file.changed}" for file in self.files)
        return hashlib.sha256(lines.encode()).hexdigest()


def find_files(pattern: str, option: str = "data") -> InputFiles:
    """Lists the shards of a folder (all its *.tfrecord, at any depth), of a glob, or of the newest {SPAN}.

    Args:
        pattern: folder, file or glob; local, gs:// or s3://. `{SPAN}` stands for a whole number and the largest one
            is taken; `{SPAN:4}` for one of 4 digits.
        option: the setting that the pattern came from, for the error message.

    Raises:
        InputError: nothing matches, or the file system cannot be read.
    """
    span = 0
    if SPAN.search(pattern):
        spans = [_span_of(pattern, file.path) for file in _match(SPAN.sub("*", pattern), option)]
        span = max((found for found in spans if found is not None), default=-1)
        if span < 0:
            raise InputError(f"{option}: no file matches {pattern!r} with any whole number for {{SPAN}}")
        pattern = SPAN.sub(lambda match: str(span).zfill(int(match[1] or 0)), pattern)
    folder = [] if re.search(r"[*?\[]", pattern) else _match(f"{pattern.rstrip('/')}/**.tfrecord", option)
    files = folder or _match(pattern, option)
    if not files:
        raise InputError(f"{option}: no file matches {pattern!r} (a folder of *.tfrecord files, a file or a glob)")
    return InputFiles(tuple(sorted(files, key=lambda file: file.path)), pattern, span)


def detect_level(files: InputFiles) -> Level:
    """Reads records until one says whether the data set holds frames or means.

    Raises:
        InputError: no file has a readable record.
    """
    reasons = []
    for file in files.files:
        with FileSystems.open(file.path, compression_type=CompressionTypes.UNCOMPRESSED) as stream:
            for number, record in enumerate(read_records(stream, file.size)):
                try:
                    if not isinstance(record, Damage):
                        return level_of(record)
                    reasons.append(f"{file.path}, record {number}: {record.reason}")
                except BadRecord as error:
                    reasons.append(f"{file.path}, record {number}: {error}")
    raise InputError(f"no readable record in {len(files.files)} files; first: {(reasons or ['no records'])[0]}")


def _match(pattern: str, option: str) -> list[InputFile]:
    # Beam sets options when a pipeline starts; s3:// cannot be listed before without any.
    FileSystems.set_options(PipelineOptions([]))
    try:
        found = FileSystems.match([pattern])[0].metadata_list
    except (BeamIOError, ValueError) as error:
        raise InputError(f"{option}: cannot list {pattern!r}: {str(error).splitlines()[0]}") from error
    return [
        InputFile(file.path, file.size_in_bytes, file.last_updated_in_seconds)
        for file in found
        # Object stores have no folders; the local file system matches them too.
        if not file.path.endswith("/") and not os.path.isdir(file.path)
    ]


def _span_of(pattern: str, path: str) -> int | None:
    # split() gives literal text and, between two of them, the width of the span.
    text, *rest = SPAN.split(pattern)
    expression = _glob(text)
    for width, text in zip(rest[::2], rest[1::2], strict=True):
        expression += (rf"(\d{{{width}}})" if width else r"(\d+)") + _glob(text)
    match = re.match(expression, path)
    return int(match[1]) if match else None


def _glob(text: str) -> str:
    return "".join({"*": "[^/]*", "?": "[^/]"}.get(char, re.escape(char)) for char in text)
