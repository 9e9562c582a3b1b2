"""Files that get their names once they are complete, on any file system that Beam knows."""

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
    """Files that one attempt at a piece of work writes; published when its block ends without an error, else removed.

    Runners retry, duplicate and cancel work: an attempt that raises, or whose generator is closed, must not replace
    what a complete one has published. Concurrent attempts write to different files; the last complete one stays.

    Args:
        scratch: folder for unfinished files, on the same file system; no reader of the results lists it.
    """

    def __init__(self, scratch: str):
        self._scratch = scratch
        self._files: dict[str, tuple[str, BinaryIO]] = {}

    def open(self, path: str) -> BinaryIO:
        """The file to be published as `path`, open for writing; each call returns the same one."""
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
                file.close()  # a full disk may raise only here
            if kind is None:
                for path, (temporary, _) in self._files.items():
                    _rename(temporary, path)
        finally:
            for temporary, file in self._files.values():
                with suppress(Exception):  # published, or gone with the scratch folder; each store has its own errors
                    file.close()
                    delete(temporary)


def write_whole(path: str, content: bytes) -> None:
    """Writes a file that readers see complete or not at all."""
    with Attempt(path.rpartition("/")[0]) as attempt:
        attempt.open(path).write(content)


@contextmanager
def scratch_folder(root: str) -> Iterator[str]:
    """A folder below `root` for attempts; removed at the end of the block, after an error by TFX."""
    folder = f"{root}/writing"
    FileSystems.mkdirs(folder)
    yield folder
    delete(f"{folder}/")


def delete(path: str) -> None:
    """Removes a file, or a folder with its content; the path of a folder ends with `/`, as object stores need."""
    if "://" in path:
        FileSystems.delete([path])
    elif os.path.isdir(path):  # Beam would take [ ] ? * in a local path for a pattern
        shutil.rmtree(path)
    else:
        os.remove(path)


def _rename(source: str, target: str) -> None:
    if "://" not in target:  # object stores have no folders, and Beam would ask for the bucket's for minutes
        os.makedirs(os.path.dirname(target), exist_ok=True)
    FileSystems.rename([source], [target])
