"""A folder for the temporary files that libraries write, removed when the command ends."""

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
MIN_AGE_SECONDS = 60


@contextmanager
def temporary_folder() -> Iterator[None]:
    """Puts temporary files, also of child processes, in a new folder; removes it, and folders of killed processes.

    Raises:
        InputError: no folder for temporary files can be written.
    """
    configured = os.environ.get("TMPDIR")
    try:
        parent = Path(tempfile.gettempdir())
        if configured and Path(configured).absolute() != parent:
            raise InputError(f"TMPDIR is {configured!r}: cannot be written or is full, expected a folder with space")
        _remove_leftovers(parent)
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        lock = try_lock(folder / LOCK)
    except OSError as error:
        raise InputError(f"no folder for temporary files ({error}): set TMPDIR to a folder with space") from None
    assert lock is not None
    previous, tempfile.tempdir, os.environ["TMPDIR"] = tempfile.tempdir, str(folder), str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = previous
        if configured:
            os.environ["TMPDIR"] = configured
        else:
            del os.environ["TMPDIR"]
        shutil.rmtree(folder, ignore_errors=True)
        lock.close()


def _remove_leftovers(parent: Path) -> None:
    for path in parent.glob(f"{PREFIX}*/{LOCK}"):
        try:
            old = time.time() - path.stat().st_mtime > MIN_AGE_SECONDS
            if old and (lock := try_lock(path)):
                shutil.rmtree(path.parent, ignore_errors=True)
                lock.close()
        except OSError:  # another user's, or removed in the meantime
            continue
