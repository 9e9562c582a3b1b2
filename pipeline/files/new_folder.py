"""A folder whose files get their final names when all of them are complete."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from models.errors import InputError
from pipeline.files import locks

# The subfolder in which files are written, and its name once all are complete. It is inside the folder, which may be
# the root of a volume. With the suffix, readers of the folder do not mistake unfinished files for shards.
_UNFINISHED, _COMPLETE, _PARTIAL = ".unfinished", ".whole", ".partial"


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Makes and locks a folder; removes it again if it stays empty.

    If a process was killed while it renamed complete files, finishes that first.

    Raises:
        InputError: it is a file, cannot be made or written, or another process has locked it.
    """
    try:
        made = not out.exists()
        if not made and not out.is_dir():
            raise InputError(f"{out} is a file, expected a new or empty folder")
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out}: {error.strerror}, expected a folder to write") from None
    try:
        with locks.locked(out):
            if (out / _COMPLETE).is_dir():
                _publish(out)
            yield
    finally:
        if made:
            with suppress(OSError):  # it holds something
                out.rmdir()


@contextmanager
def new_files(out: Path, needed: int) -> Iterator[Callable[[str], Path]]:
    """Yields `name -> path to write to`; the files get their final names when the block succeeds.

    A killed process leaves unfinished files under other names, which the next one deletes.

    Args:
        out: a folder that is `locked`.
        needed: total size of the files in bytes.

    Raises:
        InputError: the folder holds other files, or its disk is too small.
    """
    unfinished = out / _UNFINISHED
    if any(entry.name not in (_UNFINISHED, locks.LOCK) for entry in out.iterdir()):
        raise InputError(f"{out} is not empty, expected a new or empty folder")
    if unfinished.is_dir():
        shutil.rmtree(unfinished)
    if (free := shutil.disk_usage(out).free) < needed:
        raise InputError(f"{out} needs about {needed / 1e9:.2f} GB, its disk has {free / 1e9:.2f} GB free")
    try:
        unfinished.mkdir()
        yield lambda name: unfinished / f"{name}{_PARTIAL}"
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    unfinished.rename(out / _COMPLETE)
    _publish(out)


def _publish(out: Path) -> None:
    # The files that describe the shards come first: no reader sees a shard without them.
    for file in sorted((out / _COMPLETE).iterdir(), key=lambda file: (".tfrecord" in file.name, file.name)):
        file.rename(out / file.name.removesuffix(_PARTIAL))
    (out / _COMPLETE).rmdir()
