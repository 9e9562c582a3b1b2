"""A folder whose files get their names when all of them are whole."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from models.errors import InputError
from pipeline.files import locks

# Where files are written, and what it is called once all are whole: in the folder itself, which may be all of a volume.
# What lies there has no name that readers of the folder look for.
_UNFINISHED, _WHOLE, _PARTIAL = ".unfinished", ".whole", ".partial"


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Makes a folder and keeps it from other processes; one that stays empty is removed again.

    A process that was killed while whole files got their names is made up for.

    Raises:
        InputError: it is a file, can't be made or written, or another process has it.
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
            if (out / _WHOLE).is_dir():
                _publish(out)
            yield
    finally:
        if made:
            with suppress(OSError):  # it holds something
                out.rmdir()


@contextmanager
def new_files(out: Path, needed: int) -> Iterator[Callable[[str], Path]]:
    """Gives `name -> path to write it to`; the files get their names when the block ends well.

    A killed process leaves them in the folder under other names, and the next one throws them away.

    Args:
        out: a folder that is `locked`.
        needed: bytes that they will have.

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
    unfinished.rename(out / _WHOLE)
    _publish(out)


def _publish(out: Path) -> None:
    # What describes the shards comes before them: nobody sees one without it.
    for file in sorted((out / _WHOLE).iterdir(), key=lambda file: (".tfrecord" in file.name, file.name)):
        file.rename(out / file.name.removesuffix(_PARTIAL))
    (out / _WHOLE).rmdir()
