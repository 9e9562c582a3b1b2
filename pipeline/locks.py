"""Files that one process holds at a time; whatever ends it, even kill -9, gives them up."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from models.errors import InputError

LOCK = ".lock"


def try_lock(path: Path) -> TextIO | None:
    """Makes and locks a file for as long as it is open; None where another process holds it.

    The lock is POSIX's (`lockf`): children don't inherit it, and it holds between machines that share the folder.
    """
    file = path.open("a+")
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # POSIX allows either
        file.close()
        return None
    except OSError:
        return file  # some network file systems have no locks
    if not path.exists() or not os.path.samestat(path.stat(), os.fstat(file.fileno())):
        file.close()  # its owner has just removed it
        return try_lock(path)
    return file


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps other processes that lock the same folder out of the block.

    Raises:
        InputError: another process is at work there; names it.
    """
    path = folder / LOCK
    file = try_lock(path)
    if file is None:
        raise InputError(f"{folder} is in use by {path.read_text() or 'another process'}: wait for it, or stop it")
    with file:
        file.truncate(0)
        file.write(f"process {os.getpid()} on {os.uname().nodename}")
        file.flush()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
