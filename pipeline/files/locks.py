"""Lock files: one process holds each at a time, and its end, even by kill -9, releases it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TextIO

from models.errors import InputError

LOCK = ".lock"


def lock(file: IO[str], path: Path) -> bool:
    """Locks an open file for as long as it is open; False if another process holds or has just replaced it.

    The lock is POSIX's (`lockf`): children don't inherit it, and it holds between machines that share the folder.

    Args:
        file: open for writing.
        path: of the file.
    """
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # POSIX allows either
        return False
    except OSError:
        return True  # some network file systems have no locks
    return path.exists() and os.path.samestat(path.stat(), os.fstat(file.fileno()))


def try_lock(path: Path) -> TextIO | None:
    """Makes and locks a file for as long as it is open; None if another process holds it."""
    file = path.open("a+")
    if lock(file, path):
        return file
    file.close()
    return None if path.exists() else try_lock(path)  # its holder has just removed it


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps other processes that lock the same folder out of the block.

    Raises:
        InputError: another process has locked the folder (the message names it), or it cannot be written.
    """
    path = folder / LOCK
    try:
        file = try_lock(path)
        owner = "" if file else path.read_text() or "another process"
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror}, expected a folder to write") from None
    if file is None:
        raise InputError(f"{folder} is in use by {owner}: wait for it, or stop it")
    with file:
        file.truncate(0)
        file.write(f"process {os.getpid()} on {os.uname().nodename}")
        file.flush()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
