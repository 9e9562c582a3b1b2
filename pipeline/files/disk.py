"""Full, read-only and missing disks: the errors that libraries raise, as one line that says what to do."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

# What SQLite, TensorFlow and Beam report instead of an errno.
_WORDS = {
    "No space left on device": errno.ENOSPC,
    "database or disk is full": errno.ENOSPC,
    "Disk quota exceeded": errno.EDQUOT,
    "Read-only file system": errno.EROFS,
    "readonly database": errno.EROFS,
    "Permission denied": errno.EACCES,
    "disk I/O error": errno.EIO,
    "unable to open database file": errno.ENOENT,
}
_NUMBERS = {errno.EIO, errno.ENOENT, *_WORDS.values()}

# Less counts as full: a step writes at least a few MB.
LEAST_BYTES = 2**20


def disk_trouble(error: BaseException, folder: Path) -> str | None:
    """Describes the trouble with the disk of a command's folder or of temporary files; None for other errors.

    Args:
        error: that ended the command; its causes are examined too.
        folder: the command writes to it.
    """
    numbers = {number for link in _chain(error) if (number := _number(link)) is not None}
    if not numbers:
        return None
    if not folder.is_dir():
        return f"{folder} no longer exists: the same command starts over"
    temporary = Path(tempfile.gettempdir())
    for place, advice in (
        (folder, "free some (`yt8m gc` lists what may go) or choose another --out"),
        (temporary, "free some or set TMPDIR to a folder with more"),
    ):
        if reason := _reason(place):
            return f"{place}: {reason}: {advice}"
    if numbers & {errno.ENOSPC, errno.EDQUOT}:  # some was freed since, when a failed step's output was removed
        free = f"{shutil.disk_usage(folder).free / 1e6:,.0f} MB in {folder}"
        return f"no space was left on the disk; free now: {free}, more is needed"
    return None


@contextmanager
def writing(out: Path | None) -> Iterator[None]:
    """Ends a command with one line where its output cannot be written.

    Args:
        out: a file; None: standard output.

    Raises:
        ClickException: the disk is full, say.
        BrokenPipeError: the reader has closed the pipe.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        trouble = disk_trouble(error, out.absolute().parent) if out else None
        raise click.ClickException(trouble or f"{out or 'standard output'}: {error}") from None


def _reason(place: Path) -> str | None:
    if not place.is_dir():
        return "the folder no longer exists"
    usage = os.statvfs(place)
    if usage.f_bavail * usage.f_frsize < LEAST_BYTES:
        return "no space is left on its disk"
    if usage.f_files and not usage.f_favail:
        return "no inodes are left on its disk (too many files)"
    if usage.f_flag & os.ST_RDONLY:
        return "its disk is read-only"
    return None if os.access(place, os.W_OK) else "it cannot be written"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _number(error: BaseException) -> int | None:
    if isinstance(error, OSError) and error.errno in _NUMBERS:
        return error.errno
    return next((number for words, number in _WORDS.items() if words in str(error)), None)
