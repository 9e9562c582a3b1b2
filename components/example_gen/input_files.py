"""The raw shards behind a pattern, on any file system that Beam reads."""

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from apache_beam.io.filesystem import BeamIOError, CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions

from components.example_gen.packing import BadRecord, level_of
from components.example_gen.tfrecord import Damage, read_records
from models.errors import InputError
from models.features import Level

SPAN = re.compile(r"\{SPAN(?::(\d+))?\}")

# Several spans in place of {SPAN}.
_LIST = re.compile(r"\{(\d+(?:,\d+)+)\}")


@dataclass(frozen=True)
class InputFile:
    """One shard: where it lies, its size in bytes and when it was last changed (seconds since 1970, 0 if unknown)."""

    path: str
    size: int
    changed: float


@dataclass(frozen=True)
class InputFiles:
    """The shards of a data set.

    Attributes:
        spans: the shards of each span, the newest first; one group where the pattern has no spans.
        pattern: with its {SPAN} filled in, with several as in `span-{4,3}/*`.
        span: the newest one, 0 where there is none.
    """

    spans: tuple[tuple[InputFile, ...], ...]
    pattern: str
    span: int

    @property
    def files(self) -> tuple[InputFile, ...]:
        """All shards."""
        return tuple(file for files in self.spans for file in files)

    @property
    def size(self) -> int:
        """Bytes of all shards."""
        return sum(file.size for file in self.files)

    @property
    def fingerprint(self) -> str:
        """Changes when a shard is added, removed, resized or rewritten."""
        lines = "\n".join(f"{file.path} {file.size} {file.changed}" for file in self.files)
        return hashlib.sha256(lines.encode()).hexdigest()


def find_files(pattern: str, option: str = "data", spans: int = 1) -> InputFiles:
    """Lists the shards of a folder (all its *.tfrecord, at any depth), of a glob, or of the newest {SPAN}s.

    Args:
        pattern: folder, file or glob; local, gs:// or s3://. `{SPAN}` stands for a whole number and the largest ones
            are taken; `{SPAN:4}` for one of 4 digits. A pattern that was filled in gives the same shards again.
        option: the setting that the pattern came from, for the error message.
        spans: how many to take; fewer where there are fewer.

    Raises:
        InputError: nothing matches, or the file system cannot be read.
    """
    span = 0
    if SPAN.search(pattern):
        found = {_span_of(pattern, file.path) for file in _match(SPAN.sub("*", pattern), option)}
        newest = sorted((number for number in found if number is not None), reverse=True)[:spans]
        if not newest:
            raise InputError(f"{option}: no file matches {pattern!r} with any whole number for {{SPAN}}")
        span, pattern = newest[0], SPAN.sub(lambda match: _list(newest, int(match[1] or 0)), pattern)
    groups = []
    for of_span in _of_each_span(pattern, option):
        folder = [] if re.search(r"[*?\[]", of_span) else _match(f"{of_span.rstrip('/')}/**.tfrecord", option)
        files = folder or _match(of_span, option)
        if not files:
            raise InputError(f"{option}: no file matches {of_span!r} (a folder of *.tfrecord files, a file or a glob)")
        groups.append(tuple(sorted(files, key=lambda file: file.path)))
    return InputFiles(tuple(groups), pattern, span)


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


def _list(spans: Sequence[int], width: int) -> str:
    numbers = [str(span).zfill(width) for span in spans]
    return numbers[0] if len(numbers) == 1 else f"{{{','.join(numbers)}}}"


def _of_each_span(pattern: str, option: str) -> list[str]:
    """The pattern of each span of `span-{4,3}/*`; the first of a list goes with the first of another."""
    text, *rest = _LIST.split(pattern)
    lists = [numbers.split(",") for numbers in rest[::2]]
    if not lists:
        return [pattern]
    if len({len(numbers) for numbers in lists}) > 1:
        raise InputError(f"{option}: the lists of spans in {pattern!r} are not equally long")
    return [
        text + "".join(number + text for number, text in zip(numbers, rest[1::2], strict=True))
        for numbers in zip(*lists, strict=True)
    ]


def _glob(text: str) -> str:
    return "".join({"*": "[^/]*", "?": "[^/]"}.get(char, re.escape(char)) for char in text)
