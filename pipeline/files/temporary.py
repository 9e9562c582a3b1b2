"""A folder for everything that libraries write to the system's one for temporary files."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from models.errors import InputError
from pipeline.files.locks import LOCK, try_lock

PREFIX = "yt8m-"

# Younger folders are left alone: their owners may be about to lock them.
SECONDS_TO_LOCK = 60


@contextmanager
def temporary_folder() -> Iterator[None]:
    """Makes a folder the one for temporary files, of child processes too; removes it, and those of killed processes.

    Raises:
        InputError: no such folder can be written.
    """
    wanted = os.environ.get("TMPDIR")
    try:
        parent = Path(tempfile.gettempdir())
        if wanted and Path(wanted).absolute() != parent:
            raise InputError(f"TMPDIR is {wanted!r}: cannot be written or is full, expected a folder with space")
        _remove_old(parent)
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        lock = try_lock(folder / LOCK)
    except OSError as error:
        raise InputError(f"no folder for temporary files ({error}): set TMPDIR to one with space") from None
    assert lock is not None
    before, tempfile.tempdir, os.environ["TMPDIR"] = tempfile.tempdir, str(folder), str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before
        if wanted:
            os.environ["TMPDIR"] = wanted
        else:
            del os.environ["TMPDIR"]
        shutil.rmtree(folder, ignore_errors=True)
        lock.close()


def _remove_old(parent: Path) -> None:
    for lock in parent.glob(f"{PREFIX}*/{LOCK}"):
        try:
            old = time.time() - lock.stat().st_mtime > SECONDS_TO_LOCK
            if old and (held := try_lock(lock)):
                shutil.rmtree(lock.parent, ignore_errors=True)
                held.close()
        except OSError:  # another user's, or gone by now
            continue
