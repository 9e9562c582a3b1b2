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
_ERRNOS = {errno.EIO, errno.ENOENT, *_WORDS.values()}

# Less counts as full: a step writes at least a few MB.
MIN_FREE_BYTES = 2**20


def describe_disk_error(error: BaseException, folder: Path) -> str | None:
    """Describes what is wrong with the disk of a command's folder or of temporary files; None for other errors.

    Args:
        error: the error that ended the command; its causes are examined too.
        folder: where the command writes.
    """
    numbers = {number for cause in _causes(error) if (number := _errno(cause)) is not None}
    if not numbers:
        return None
    if not folder.is_dir():
        return f"{folder} no longer exists: repeat the command to start over"
    temporary = Path(tempfile.gettempdir())
    for place, advice in (
        (folder, "free some (`yt8m gc` lists what may go) or choose another --out"),
        (temporary, "free some or set TMPDIR to a folder with more"),
    ):
        if reason := _reason(place):
            return f"{place}: {reason}: {advice}"
    if numbers & {errno.ENOSPC, errno.EDQUOT}:  # removing a failed step's output has freed space since
        free = f"{shutil.disk_usage(folder).free / 1e6:,.0f} MB in {folder}"
        return f"no space was left on the disk; free now: {free}, more is needed"
    return None


@contextmanager
def writing(out: Path | None) -> Iterator[None]:
    """Ends a command with one line if its output cannot be written.

    Args:
        out: a file; None: standard output.

    Raises:
        ClickException: the output cannot be written, for example because the disk is full.
        BrokenPipeError: the reader has closed the pipe.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        trouble = describe_disk_error(error, out.absolute().parent) if out else None
        raise click.ClickException(trouble or f"{out or 'standard output'}: {error}") from None


def _reason(place: Path) -> str | None:
    if not place.is_dir():
        return "the folder no longer exists"
    usage = os.statvfs(place)
    if usage.f_bavail * usage.f_frsize < MIN_FREE_BYTES:
        return "no space is left on its disk"
    if usage.f_files and not usage.f_favail:
        return "no inodes are left on its disk (too many files)"
    if usage.f_flag & os.ST_RDONLY:
        return "its disk is read-only"
    return None if os.access(place, os.W_OK) else "it cannot be written"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _errno(error: BaseException) -> int | None:
    if isinstance(error, OSError) and error.errno in _ERRNOS:
        return error.errno
    return next((number for words, number in _WORDS.items() if words in str(error)), None)
