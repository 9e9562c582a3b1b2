"""The shards that a folder, a glob or a path stands for: on disks and volumes, in s3:// and in gs://."""

import os
import re
import stat
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest

import google_crc32c
from apache_beam.io.filesystem import CompressionTypes, FileSystem
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions

from components.example_gen.local_files import exists, file_state, require_file, require_text
from components.object_stores import StoredObject, find_object, list_objects
from models.errors import InputError

# Names of shards: train0000.tfrecord, a.tfrecords.gz, b.tfrec, train-00000-of-00100 and mixtures of these; not of
# checkpoints, say model.data-00000-of-00001.
_SHARD = re.compile(r".+(\.tfrec(ords?)?|(?<!\.data)-\d{5,}-of-\d{5,})(\.gz|\.gzip|\.zlib|-\d{5,}-of-\d{5,})*", re.I)
NAMES = "*.tfrecord, *.tfrecords or *.tfrec, perhaps with .gz, or *-00000-of-00100"

# Names of other files beside shards, which a glob such as data/* leaves out.
_COMPANION = re.compile(
    r"(README|LICEN[CS]E|NOTICE|MANIFEST|\w*SUMS?)(\..*)?"
    r"|events\.out\.tfevents\..*"  # TensorBoard's
    r"|.+\.(csv|tsv|jsonl?|txt|md|rst|ya?ml|html?|xml|pbtxt|pdf|png|svg|py|sh|log|lock|md5|sha\d+|crc\w*|sig|asc|idx|index)",
    re.I,
)

# Names of archives, whose files are not read; a folder with one may lack the shards that it holds.
_ARCHIVE = re.compile(r".+\.(zip|7z|rar|tar(\.\w+)?|t(gz|bz2?|xz|zst))", re.I)

# What a run writes into its folder, packed records among it; the folder may lie in that of the data.
_RUN_HOLDS = ("pipeline_root", "steps.json")
_OF_A_RUN = ("pipeline_root", "serving", "checkpoints", "search", "hyperparameters", "logs", "report")

_GLOB = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class InputFile:
    """One shard.

    Attributes:
        path: local, gs:// or s3://.
        size: in bytes.
        changed: time of its last change, in seconds since 1970.
        version: in an object store its checksum or generation.
    """

    path: str
    size: int
    changed: float
    version: str = ""


def list_shards(pattern: str, option: str) -> list[InputFile]:
    """The shards that a pattern stands for; empty where nothing matches.

    A path that exists stands for itself, whatever its name; else `*`, `?`, `[...]` and `**` (any depth) match names. A
    folder, also one that a glob matches, stands for all files below it with the name of a shard; a glob for all files
    that it matches except companions such as vocabulary.csv. Hidden names are left out.

    Args:
        pattern: folder, file or glob.
        option: the setting that it came from, for the error message.

    Raises:
        InputError: a match cannot be read or is not a file, or a folder holds an archive, or TFRecords without the name
            of a shard.
    """
    if "://" in pattern:
        return _list_objects(pattern, option)
    files = []
    for path in _expand("", pattern.split("/"), option):
        if os.path.isdir(path):
            files += _shards_of(list(_walk(path, (), option)), option)
        elif _is_shard(path, pattern):
            files.append(path)
    return [_input_file(path, option) for path in files]


def list_paths(pattern: str, option: str) -> list[str]:
    """Files and folders that a glob matches; in an object store all objects with its prefix. See `list_shards`."""
    if "://" in pattern:
        return [stored.path for stored in list_objects(_GLOB.split(pattern)[0], option)]
    return list(_expand("", pattern.split("/"), option))


def glob_expression(glob: str) -> str:
    """The regular expression of a glob, to be matched in full.

    Raises:
        InputError: a set of characters is malformed.
    """
    expression = FileSystem.translate_pattern(glob).removeprefix("(?ms)").removesuffix(r"\Z")
    try:
        re.compile(expression)
    except re.error as error:
        raise InputError(f"{glob!r} is not a valid glob: {error}") from None
    return expression


def is_there(path: str, option: str) -> bool:
    """Whether there is a file or folder of this name, local, in gs:// or in s3://; see `read_file`."""
    return bool(find_object(path, option)) if "://" in path else exists(path, option)


def read_file(path: str, option: str) -> bytes | None:
    """The content of a small file; None where it doesn't exist.

    Args:
        path: local, gs:// or s3://.
        option: the setting that it came from, for the error message.

    Raises:
        InputError: it cannot be read.
    """
    if not is_there(path, option):
        return None
    if "://" not in path:
        require_file(path, option)
    FileSystems.set_options(PipelineOptions([]))  # without any, Beam cannot read s3://
    try:
        with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
            return file.read()
    except OSError as error:
        raise InputError(f"{option}: cannot read {path!r}: {error.strerror or error}") from None


def _input_file(path: str, option: str) -> InputFile:
    require_text(path, option)
    state = require_file(path, option)
    return InputFile(path, state.st_size, state.st_mtime)


def _expand(folder: str, parts: list[str], option: str) -> Iterator[str]:
    """The paths below `folder` ("" or ending with /) that match the parts of a pattern, sorted by name."""
    if not parts:
        yield folder if folder == "/" else folder.rstrip("/")
        return
    part, *rest = parts
    end = "/" if rest else ""
    if not part:  # before the first slash, after the last, or between two
        yield from _expand(folder or "/", rest, option)
    elif exists(folder + part, option):
        yield from _expand(f"{folder}{part}{end}", rest, option)
    elif "**" in part:
        expression = re.compile(glob_expression("/".join(parts)), re.DOTALL)
        yield from (path for path in _walk(folder, (), option) if expression.fullmatch(path[len(folder) :]))
    elif _GLOB.search(part):
        expression = re.compile(glob_expression(part), re.DOTALL)
        for name in _names(folder, option):
            path = folder + name
            if expression.fullmatch(name) and not _is_hidden(name, part) and (not rest or _is_folder(path, option)):
                yield from _expand(f"{path}{end}", rest, option)


def _walk(folder: str, above: tuple[tuple[int, int], ...], option: str) -> Iterator[str]:
    """All files below a folder except hidden ones and those that a run has written; links are followed.

    Raises:
        InputError: a folder cannot be listed, or links to one that it lies in; a link is broken.
    """
    state = file_state(folder or ".", option)
    here = (state.st_dev, state.st_ino)
    if here in above:
        raise InputError(f"{option}: {folder!r} links to a folder that it lies in: remove the link")
    start = f"{folder.rstrip('/')}/" if folder else ""
    names = _names(folder, option)
    if set(_RUN_HOLDS) & set(names):
        names = [name for name in names if name not in _OF_A_RUN]
    for name in names:
        if _is_hidden(name):
            continue
        if _is_folder(start + name, option):
            yield from _walk(start + name, (*above, here), option)
        else:
            yield start + name


def _names(folder: str, option: str) -> list[str]:
    try:
        return sorted(os.listdir(folder or "."))
    except NotADirectoryError:
        return []
    except OSError as error:
        raise InputError(f"{option}: cannot list {folder!r}: {error.strerror}") from None


def _is_folder(path: str, option: str) -> bool:
    return stat.S_ISDIR(file_state(path, option).st_mode)


def _is_hidden(name: str, part: str = "") -> bool:
    """Whether a part of a pattern leaves out this name: macOS, Spark and downloads leave such files.

    Volumes have a folder lost+found, which only root may list.
    """
    return (name[:1] in (".", "_") and part[:1] != name[:1]) or (name == "lost+found" and name != part)


def _is_shard(path: str, pattern: str) -> bool:
    """Whether a file that a glob matches counts as a shard; a companion does where the glob's last part names one."""
    name, part = path.rpartition("/")[2], pattern.rpartition("/")[2]
    return bool(_SHARD.fullmatch(name) or not _COMPANION.fullmatch(name) or _COMPANION.fullmatch(part))


def _shards_of(paths: list[str], option: str) -> list[str]:
    """The files below a folder that have the name of a shard.

    Raises:
        InputError: another file is an archive, or seems to be a shard by its name or, on a disk, by its content.
    """
    shards = []
    for path in paths:
        name = path.rpartition("/")[2]
        if _SHARD.fullmatch(name):
            shards.append(path)
        elif _ARCHIVE.fullmatch(name):
            raise InputError(
                f"{option}: {path!r} is an archive, expected the files in it: unpack or remove it, or say by a glob "
                "which files are meant"
            )
        elif (".tfrec" in name.lower() and not _COMPANION.fullmatch(name)) or _holds_tfrecords(path):
            raise InputError(
                f"{option}: {path!r} seems to hold TFRecords, of which a folder's are called {NAMES}: rename or remove "
                "it, or say by a glob which files are meant"
            )
    return shards


def _holds_tfrecords(path: str) -> bool:
    """Whether a local file begins with the header of a TFRecord (a length and its checksum), compressed or not."""
    if "://" in path or not os.path.isfile(path) or not os.access(path, os.R_OK):
        return False
    with open(path, "rb") as file:
        head = file.read(512)
    try:
        head = zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(head, 12)  # gzip or zlib
    except zlib.error:
        head = head[:12]
    if len(head) < 12:
        return False
    crc = google_crc32c.value(head[:8])
    return struct.unpack("<I", head[8:])[0] == (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def _list_objects(pattern: str, option: str) -> list[InputFile]:
    is_glob = _GLOB.search(pattern)
    if not is_glob and (stored := find_object(pattern, option)):
        return [_as_input_file(stored)]
    prefix = _GLOB.split(pattern)[0] if is_glob else f"{pattern.rstrip('/')}/"
    objects = {stored.path: _as_input_file(stored) for stored in list_objects(prefix, option)}
    if pattern in objects:
        return [objects[pattern]]
    expression = re.compile(_expression(pattern.rstrip("/"), list(objects)) + "(?P<below>/.+)?", re.DOTALL)
    files, below = [], []
    for path in objects:
        if (match := expression.fullmatch(path)) and not _is_below_hidden(path, pattern):
            if match["below"]:
                below.append(path)
            elif _is_shard(path, pattern):
                files.append(path)
    shards = files + _shards_of(below, option)
    if shards and not find_object(shards[0], option):
        raise InputError(f"{option}: {shards[0]!r} is listed, but your credentials don't give the right to read it")
    return [objects[path] for path in shards]


def _expression(pattern: str, paths: list[str]) -> str:
    """The regular expression of a pattern, in which leading parts that exist literally stand for themselves."""
    start, rest = "", pattern
    while rest:
        part, slash, after = rest.partition("/")
        if _GLOB.search(part) and not any(path.startswith(f"{start}{part}/") for path in paths):
            break
        start, rest = start + part + slash, after
    return re.escape(start) + glob_expression(rest)


def _is_below_hidden(path: str, pattern: str) -> bool:
    parts = pattern.partition("**")[0].split("/")
    return any(_is_hidden(name, part) for name, part in zip_longest(path.split("/"), parts, fillvalue=""))


def _as_input_file(stored: StoredObject) -> InputFile:
    return InputFile(stored.path, stored.size, stored.written, stored.version)
