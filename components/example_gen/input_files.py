"""The raw shards that a pattern matches, of one or several spans."""

import hashlib
import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions

from components.example_gen.listing import NAMES, InputFile, glob_expression, list_paths, list_shards
from components.example_gen.local_files import exists, file_state, require_text
from components.example_gen.packing import InvalidRecord, level_of
from components.example_gen.tfrecord import Damage, read_records
from models.errors import InputError, plural
from models.features import Level

__all__ = ["SPAN", "InputFile", "InputFiles", "detect_level", "find_files"]

SPAN = re.compile(r"\{SPAN(?::([1-9][0-9]?))?\}")

# Several spans filled in for {SPAN}.
_LIST = re.compile(r"\{(\d+(?:,\d+)+)\}")

# Blocks of a local shard, spread over it, that are part of the fingerprint; a small shard is read whole.
_BLOCKS, _BLOCK = 8, 64 * 1024


@dataclass(frozen=True)
class InputFiles:
    """The shards of a data set.

    Attributes:
        spans: the shards of each span, newest first; one group where the pattern has no spans.
        pattern: with its {SPAN} filled in, with several as in `span-{4,3}/*`.
        span: the newest span, 0 where the pattern has none.
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

        A local shard rewritten with the same size and time is noticed by 8 blocks of 64 KiB; object stores keep time
        and checksum of each object.

        Raises:
            InputError: a shard cannot be read.
        """
        with ThreadPoolExecutor(16) as pool:  # a network volume takes a while for each
            samples = list(pool.map(_sample, self.files))
        lines = "\n".join(
            f"{file.path} {file.size} {file.changed} {file.version} {sample}"
            for file, sample in zip(self.files, samples, strict=True)
        )
        return hashlib.sha256(lines.encode()).hexdigest()


def find_files(pattern: str, option: str = "data", spans: int = 1) -> InputFiles:
    """Lists the shards of a folder, of a glob (see `list_shards`), or of the newest {SPAN}s.

    Args:
        pattern: folder, file or glob; local, gs:// or s3://. `{SPAN}` stands for a whole number, of which the
            largest are used; `{SPAN:4}` for one of 4 digits. A filled-in pattern gives the same shards again.
        option: the setting that the pattern came from, for the error message.
        spans: how many spans to use, all where there are fewer.

    Raises:
        InputError: nothing matches, a match cannot be read or is not a file, or a file matches twice.
    """
    # Beam cannot read s3:// without options, which it sets itself only when a pipeline starts.
    FileSystems.set_options(PipelineOptions([]))
    if not pattern:
        raise InputError(f"{option} is empty, expected a folder, a file or a glob")
    require_text(pattern, option)
    start, rest = _existing(pattern, option)
    span, groups = 0, []
    if SPAN.search(rest):
        by_span: dict[str, list[InputFile]] = {}
        for number, text in _spans(start, rest, option):
            if files := list_shards(start + _fill(rest, [text]), option):
                by_span[text] = files
                span = max(span, number)
            if len(by_span) == spans:
                break
        if not by_span:
            raise InputError(f"{option}: no file matches {pattern!r} with any whole number for {{SPAN}}")
        groups, rest = list(by_span.values()), _fill(rest, list(by_span))
    else:
        for span_pattern in _of_each_span(rest, option):
            groups.append(list_shards(start + span_pattern, option))
            if not groups[-1]:
                raise InputError(f"{option}: {_no_match(start + span_pattern)}")
    in_order = (tuple(sorted(files, key=lambda file: file.path)) for files in groups)
    result = InputFiles(tuple(in_order), start + rest, span)
    _refuse_repeated(result, option)
    return result


def detect_level(files: InputFiles) -> Level:
    """Whether a data set holds frames or means, by its first readable record.

    Raises:
        InputError: no file has a readable record.
    """
    reasons: list[str] = []
    for file in files.files:
        with FileSystems.open(file.path, compression_type=CompressionTypes.UNCOMPRESSED) as stream:
            for number, record in enumerate(read_records(stream)):
                try:
                    if not isinstance(record, Damage):
                        return level_of(record)
                    reasons = reasons or [f"{file.path}, record {number}: {record.reason}"]
                except InvalidRecord as error:
                    reasons = reasons or [f"{file.path}, record {number}: {error}"]
    first = reasons[0] if reasons else "no records"
    raise InputError(f"no readable record in {plural(len(files.files), 'file')}; first: {first}")


def _existing(pattern: str, option: str) -> tuple[str, str]:
    """Splits a pattern after its longest prefix of names that exist literally; in an object store after the bucket."""
    if "://" in pattern:
        end = pattern.find("/", pattern.index("://") + 3) + 1 or len(pattern)
        return pattern[:end], pattern[end:]
    end = 0
    for slash in re.finditer(r"/|$", pattern):
        if slash.start() and not exists(pattern[: slash.start()], option):
            break
        end = slash.end()
    return pattern[:end], pattern[end:]


def _no_match(pattern: str) -> str:
    """The message that a pattern matches no shard, with the content of a folder."""
    if not os.path.isdir(pattern):
        return f"no file matches {pattern!r} (a folder of *.tfrecord files, a file or a glob)"
    held = sorted(os.listdir(pattern))
    listed = ", ".join(map(repr, held[:5])) + (f" and {len(held) - 5} more" if len(held) > 5 else "")
    return f"no file matches {pattern!r}: the folder holds {listed or 'nothing'}, expected {NAMES}"


def _refuse_repeated(files: InputFiles, option: str) -> None:
    """Raises InputError where links make one file two shards: its videos would count twice, perhaps in two splits."""
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


def _spans(start: str, pattern: str, option: str) -> list[tuple[int, str]]:
    """The numbers that files or folders have in place of {SPAN}, and their text there; largest first.

    Raises:
        InputError: a number is written in two ways, or is too large for metadata.
    """
    parts = pattern.split("/")
    parts = parts[: 1 + max(number for number, part in enumerate(parts) if SPAN.search(part))]
    expression = re.compile("/".join(map(_with_span, parts)) + "(/|$)", re.DOTALL)
    texts_by_number: dict[int, str] = {}
    for path in list_paths(start + SPAN.sub("*", "/".join(parts)), option):
        match = expression.match(path[len(start) :])
        texts = match.groups()[:-1] if match else ()
        if len({int(text) for text in texts}) != 1:  # each {SPAN} is the same number
            continue
        number, text = int(texts[0]), texts[0]
        if (other := texts_by_number.setdefault(number, text)) != text:
            raise InputError(f"{option}: {pattern!r} has the span {number} twice, as {other} and as {text}")
        if number >= 2**63:
            raise InputError(f"{option}: {path!r} has {text} for {{SPAN}}, expected less than 2^63")
    return sorted(texts_by_number.items(), reverse=True)


def _with_span(part: str) -> str:
    if not SPAN.search(part):
        return ".*" if "**" in part else "[^/]*"
    # split() gives literal text and, between two of them, the width of the span.
    text, *rest = SPAN.split(part)
    expression = glob_expression(text)
    for width, text in zip(rest[::2], rest[1::2], strict=True):
        expression += (f"([0-9]{{{width}}})" if width else "([0-9]+)") + glob_expression(text)
    return expression


def _fill(pattern: str, spans: Sequence[str]) -> str:
    """A pattern with one span, or several as `{4,3}`, in place of {SPAN}."""

    def numbers(match: re.Match[str]) -> str:
        texts = [text.zfill(int(match[1] or 0)) for text in spans]
        return texts[0] if len(texts) == 1 else f"{{{','.join(texts)}}}"

    return SPAN.sub(numbers, pattern)


def _of_each_span(pattern: str, option: str) -> list[str]:
    """The pattern of each span of `span-{4,3}/*`; lists are paired by position."""
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
