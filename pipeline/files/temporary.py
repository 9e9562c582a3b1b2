"""A folder of our own for all temporary files of libraries."""

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

# Younger folders are kept: their processes may not have locked them yet.
SECONDS_TO_LOCK = 60


@contextmanager
def temporary_folder() -> Iterator[None]:
    """Uses a new folder for temporary files, also in child processes; removes it, and those of killed processes.

    Raises:
        InputError: no folder for temporary files can be written.
    """
    configured = os.environ.get("TMPDIR")
    try:
        parent = Path(tempfile.gettempdir())
        if configured and Path(configured).absolute() != parent:
            raise InputError(f"TMPDIR is {configured!r}: cannot be written or is full, expected a folder with space")
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
        if configured:
            os.environ["TMPDIR"] = configured
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
        except OSError:  # another user's, or removed in the meantime
            continue
