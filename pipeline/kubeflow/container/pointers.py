"""Pointer artifacts: files in the store that say where on a volume the files of an artifact lie, and what they are."""

import hashlib
import json
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Self

from pydantic import ValidationError, field_validator

from models.errors import InputError, plural, printable, quote, reason
from models.settings import Settings
from models.whole_files import PARTIAL, write_file
from pipeline.kubeflow.container.executor_input import ExecutorInput, local_path
from pipeline.validation import explain

# The only file of a pointer artifact.
POINTER = "pointer.json"

# Of the format: raised when pointers of before can no longer be read.
VERSION = 1

# A pointer has 300 bytes; more is something else.
LARGEST_POINTER = 1 << 16

# Files whose content counts, not only their size: the indexes of records, and what describes a model. Records have
# indexes, and weights take as long to read as the step that uses them.
INDEX, RECORDS, LARGEST_DESCRIPTION = "index/", "Split-", 1 << 24


class UnreadableError(InputError):
    """Something cannot be read now: no reason to write it again, as it may be whole."""


@dataclass(frozen=True)
class Listing:
    """What the files of an artifact are.

    Attributes:
        files: their number.
        bytes: their sizes together.
        sha256: of their sorted names and sizes, and of the content of indexes and descriptions.
    """

    files: int
    bytes: int
    sha256: str

    @classmethod
    def of(cls, folder: Path) -> Self:
        """Lists a folder.

        Raises:
            InputError: it holds a symbolic link or another special file, or cannot be read.
        """
        digest, files = hashlib.sha256(), sorted(_files(folder))
        for name, size in files:
            digest.update(f"{name}\0{size}\n".encode("utf-8", "surrogateescape"))
            if name.startswith(INDEX) or (not name.startswith(RECORDS) and size <= LARGEST_DESCRIPTION):
                with open(folder / name, "rb") as file:
                    digest.update(hashlib.file_digest(file, "sha256").digest())
        return cls(len(files), sum(size for _, size in files), digest.hexdigest())


class Pointer(Settings):
    """The content of a pointer artifact.

    Attributes:
        version: of the format.
        path: of the artifact's folder, relative to the volume.
        bytes: see Listing.
        files: see Listing.
        sha256: see Listing.
    """

    version: int = VERSION
    path: str
    bytes: int
    files: int
    sha256: str

    @field_validator("path")
    @classmethod
    def _is_a_whole_artifact_on_the_volume(cls, text: str) -> str:
        path = PurePosixPath(text)
        if path.is_absolute() or not path.parts or ".." in path.parts:
            raise ValueError(f"{printable(text)} is outside of the volume")
        if path.name.startswith(PARTIAL):
            raise ValueError(f"{printable(text)} is half-written")
        return text

    @classmethod
    def to(cls, folder: Path, volume: Path) -> Self:
        """Points to a folder with all its files."""
        listing = Listing.of(folder)
        return cls(
            path=folder.relative_to(volume).as_posix(),
            bytes=listing.bytes,
            files=listing.files,
            sha256=listing.sha256,
        )

    @classmethod
    def read(cls, file: Path) -> Self:
        """Reads a pointer.

        Raises:
            UnreadableError: it cannot be read.
            InputError: it is damaged or of another version.
        """
        try:
            if file.stat().st_size > LARGEST_POINTER:
                raise ValueError("it is too large")
            content = json.loads(file.read_bytes())
            version = content["version"]
        except OSError as error:
            raise UnreadableError(f"{file} cannot be read: {reason(error)}") from None
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            raise InputError(f"{file} is no pointer: {reason(error)}") from None
        if version != VERSION:
            raise InputError(f"{file} is a pointer of version {quote(version)}, this image reads version {VERSION}")
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise InputError(f"{file} is no pointer: {explain(error, cls)}") from None

    def write(self, file: Path) -> None:
        """Writes the file, whole."""
        write_file(file, self.model_dump_json(indent=1))

    def verify(self, volume: Path) -> Path:
        """The artifact's folder, after a look at all its files.

        Raises:
            UnreadableError: it cannot be read.
            InputError: the folder is gone, or its files are not those that were written.
        """
        folder = volume / self.path
        if os.path.realpath(folder) != str(Path(os.path.realpath(volume), self.path)):
            raise InputError(f"{folder} is, or lies behind, a symbolic link")
        try:
            found = Listing.of(folder)
        except (FileNotFoundError, NotADirectoryError):
            raise InputError(f"{folder} is gone") from None
        except OSError as error:
            raise UnreadableError(f"{folder} cannot be read: {reason(error)}") from None
        if found.files != self.files:
            raise InputError(f"{folder} has {plural(found.files, 'file')}, its pointer says {self.files:,}")
        if found.bytes != self.bytes:
            raise InputError(f"{folder} has {plural(found.bytes, 'byte')}, its pointer says {self.bytes:,}")
        if found.sha256 != self.sha256:
            raise InputError(f"{folder} has other files than its pointer says")
        return folder


def input_paths(executor_input: ExecutorInput, volume: Path | None) -> dict[str, str]:
    """Where a step reads its inputs: the launcher's copies, or on the volume where they are pointer artifacts.

    Args:
        executor_input: the launcher's input.
        volume: folder of large artifacts; None for a package that has none.

    Raises:
        InputError: a pointer, or what it leads to, is not as it was written; names the step that must run again. The
            first step of another run finds out about files that have changed, not about pointers, see `Journal`.
    """
    return {name: _input_path(executor_input, name, volume) for name in executor_input.input_names}


def _input_path(executor_input: ExecutorInput, name: str, volume: Path | None) -> str:
    uri = executor_input.uri("inputs", name)
    copy = local_path(uri)
    if not Path(copy, POINTER).exists():
        return copy
    if volume is None:
        raise InputError(
            f"input {name} is {uri}, a pointer artifact, which needs the volume of cluster.artifact_directory: "
            "compile the package with cluster.artifacts: volume"
        )
    step = executor_input.producer(name)
    try:
        pointer = Pointer.read(Path(copy, POINTER))
    except InputError as error:
        raise InputError(f"input {name}: {error}: run {step} again, with `yt8m submit --no-cache`") from None
    try:
        return str(pointer.verify(volume))
    except UnreadableError as error:
        raise InputError(f"input {name}: {error}") from None
    except InputError as error:
        raise InputError(f"input {name}: {error}: {step} must run again; submit the run again") from None


def _files(folder: Path) -> Iterator[tuple[str, int]]:
    """Names, relative to the folder, and sizes of all its files."""
    for parent, folders, names in os.walk(folder, onerror=_fail):
        for name in (*folders, *names):
            path = Path(parent, name)
            status = path.lstat()
            if stat.S_ISREG(status.st_mode):
                yield path.relative_to(folder).as_posix(), status.st_size
            elif not stat.S_ISDIR(status.st_mode):
                raise InputError(f"{path} is a symbolic link or another special file")


def _fail(error: OSError) -> None:
    raise error
