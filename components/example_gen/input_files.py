"""The raw shards behind a pattern, of one span or of several."""

import hashlib
import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from apache_beam.io.filesystem import CompressionTypes, FileSystem
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions

from components.example_gen.listing import NAMES, InputFile, exists, file_state, list_shards, require_text
from components.example_gen.packing import BadRecord, level_of
from components.example_gen.tfrecord import Damage, read_records
from models.errors import InputError
from models.features import Level

__all__ = ["SPAN", "InputFile", "InputFiles", "detect_level", "find_files"]

SPAN = re.compile(r"\{SPAN(?::(\d+))?\}")

# Several spans in place of {SPAN}.
_LIST = re.compile(r"\{(\d+(?:,\d+)+)\}")

# Blocks of a local shard, spread over it, that are part of the fingerprint: the whole of a small one.
_BLOCKS, _BLOCK = 8, 64 * 1024


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
        """Changes when a shard is added, removed, resized or rewritten.

        A local shard rewritten with the same size and time is noticed by 8 blocks of 64 KiB; object stores keep the
        time and a checksum of each object themselves.

        Raises:
            InputError: a shard cannot be read.
        """
        with ThreadPoolExecutor(16) as pool:  # a network volume answers each after a while
            samples = list(pool.map(_sample, self.files))
        lines = "\n".join(
            f"{file.path} {file.size} {file.changed} {file.version} {sample}"
            for file, sample in zip(self.files, samples, strict=True)
        )
        return hashlib.sha256(lines.encode()).hexdigest()


def find_files(pattern: str, option: str = "data", spans: int = 1) -> InputFiles:
    """Lists the shards of a folder, of a glob (see `list_shards`), or of the newest {SPAN}s.

    Args:
        pattern: folder, file or glob; local, gs:// or s3://. `{SPAN}` stands for a whole number and the largest ones
            are taken; `{SPAN:4}` for one of 4 digits. A pattern that was filled in gives the same shards again.
        option: the setting that the pattern came from, for the error message.
        spans: how many to take; fewer where there are fewer.

    Raises:
        InputError: nothing matches, what matches cannot be read or is no file, or a file is there twice.
    """
    # Beam sets options when a pipeline starts; s3:// cannot be read before without any.
    FileSystems.set_options(PipelineOptions([]))
    require_text(pattern, option)
    start, rest = _existing(pattern, option)
    span = 0
    if SPAN.search(rest):
        every = list_shards(start + SPAN.sub("*", rest), option)
        found = {_span_of(rest, file.path[len(start) :]) for file in every}
        newest = sorted((number for number in found if number is not None), reverse=True)[:spans]
        if not newest:
            raise InputError(f"{option}: no file matches {pattern!r} with any whole number for {{SPAN}}")
        span, rest = newest[0], SPAN.sub(lambda match: _list(newest, int(match[1] or 0)), rest)
    groups = []
    for of_span in _of_each_span(rest, option):
        files = list_shards(start + of_span, option)
        if not files:
            raise InputError(f"{option}: {_nothing(start + of_span)}")
        groups.append(tuple(sorted(files, key=lambda file: file.path)))
    result = InputFiles(tuple(groups), start + rest, span)
    _refuse_repeated(result, option)
    return result


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


def _existing(pattern: str, option: str) -> tuple[str, str]:
    """The longest beginning, of whole names, that exists as it is, and the rest; of an object store its bucket."""
    if "://" in pattern:
        end = pattern.find("/", pattern.index("://") + 3) + 1 or len(pattern)
        return pattern[:end], pattern[end:]
    end = 0
    for slash in re.finditer(r"/|$", pattern):
        if slash.start() and not exists(pattern[: slash.start()], option):
            break
        end = slash.end()
    return pattern[:end], pattern[end:]


def _nothing(pattern: str) -> str:
    """That a pattern matches no shard, and of a folder what it holds instead."""
    if not os.path.isdir(pattern):
        return f"no file matches {pattern!r} (a folder of *.tfrecord files, a file or a glob)"
    held = sorted(os.listdir(pattern))
    listed = ", ".join(map(repr, held[:5])) + (f" and {len(held) - 5} more" if len(held) > 5 else "")
    return f"no file matches {pattern!r}: the folder holds {listed or 'nothing'}, expected {NAMES}"


def _refuse_repeated(files: InputFiles, option: str) -> None:
    """Raises InputError where links make one file two shards: its videos would count twice, in two splits perhaps."""
    seen: dict[tuple[int, int], str] = {}
    for file in files.files:
        if "://" in file.path:
            return
        state = file_state(file.path, option)
        first = seen.setdefault((state.st_dev, state.st_ino), file.path)
        if first != file.path:
            raise InputError(f"{option}: {first!r} and {file.path!r} are the same file: remove one of them")


def _sample(file: InputFile) -> str:
    if "://" in file.path:
        return ""
    digest = hashlib.sha256()
    try:
        with open(file.path, "rb", buffering=0) as stream:
            for number in range(_BLOCKS):
                stream.seek(max(number * _BLOCK, number * (file.size - _BLOCK) // (_BLOCKS - 1)))
                digest.update(stream.read(_BLOCK))
    except OSError as error:
        raise InputError(f"cannot read {file.path!r}: {error.strerror}") from None
    return digest.hexdigest()


def _span_of(pattern: str, path: str) -> int | None:
    """The number that stands for every {SPAN} of a pattern in the path of a file, or of one below the path."""
    parts = pattern.split("/")
    last = max(number for number, part in enumerate(parts) if SPAN.search(part))
    match = re.match("/".join(map(_with_span, parts[: last + 1])) + "(/|$)", path, re.DOTALL)
    numbers = {int(group) for group in match.groups()[:-1]} if match else set()
    return numbers.pop() if len(numbers) == 1 else None


def _with_span(part: str) -> str:
    if not SPAN.search(part):
        return ".*" if "**" in part else "[^/]*"
    # split() gives literal text and, between two of them, the width of the span.
    text, *rest = SPAN.split(part)
    expression = _glob(text)
    for width, text in zip(rest[::2], rest[1::2], strict=True):
        expression += (rf"(\d{{{width}}})" if width else r"(\d+)") + _glob(text)
    return expression


def _glob(text: str) -> str:
    return FileSystem.translate_pattern(text).removeprefix("(?ms)").removesuffix(r"\Z")


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
