"""Files that get their names when they are whole, on any file system that Beam knows."""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import BinaryIO, Self

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from models.whole_files import PARTIAL


class Attempt:
    """What one attempt at a piece of work writes; published when its block ends well, else nothing is.

    Runners retry, duplicate and cancel work: an attempt that raises, or whose generator is closed, must not replace
    what another has written whole. Attempts at the same time write to different places, and the last whole one stays.

    Args:
        scratch: folder for files that are being written, on the same file system; no reader of the results lists it.
    """

    def __init__(self, scratch: str):
        self._scratch = scratch
        self._files: dict[str, tuple[str, BinaryIO]] = {}

    def open(self, path: str) -> BinaryIO:
        """The file that will be called `path`, open for writing; the same one when asked for again."""
        if path not in self._files:
            temporary = f"{self._scratch}/{PARTIAL}{uuid.uuid4().hex}"
            file = FileSystems.create(temporary, compression_type=CompressionTypes.UNCOMPRESSED)
            self._files[path] = (temporary, file)
        return self._files[path][1]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            for _, file in self._files.values():
                file.close()  # a full disk may say so only here
            if kind is None:
                for path, (temporary, _) in self._files.items():
                    _rename(temporary, path)
        finally:
            for temporary, file in self._files.values():
                with suppress(Exception):  # published, or gone with the scratch folder; each store has its own errors
                    file.close()
                    _delete(temporary)


def write_whole(path: str, content: bytes) -> None:
    """Writes a file that no reader sees half of."""
    with Attempt(path.rpartition("/")[0]) as attempt:
        attempt.open(path).write(content)


@contextmanager
def scratch_folder(root: str) -> Iterator[str]:
    """A folder below `root` for attempts; removed when the block has ended well, as TFX does it where it hasn't."""
    folder = f"{root}/writing"
    FileSystems.mkdirs(folder)
    yield folder
    _delete(f"{folder}/")


def _delete(path: str) -> None:
    """Removes a file, or a folder with all that is in it; the path of a folder ends with `/`, as object stores ask."""
    if "://" in path:
        FileSystems.delete([path])
    elif os.path.isdir(path):  # Beam would take [ ] ? * in a local path for a pattern
        shutil.rmtree(path)
    else:
        os.remove(path)


def _rename(source: str, target: str) -> None:
    if "://" not in target:  # object stores have no folders, and Beam asks for a bucket's for minutes
        os.makedirs(os.path.dirname(target), exist_ok=True)
    FileSystems.rename([source], [target])
