"""The file of `--out`: renamed into place when complete; devices and pipes are written directly."""

import errno
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import IO

from models.errors import InputError
from pipeline.files.locks import lock


@contextmanager
def open_output(out: Path | None, inputs: Iterable[Path], option: str = "--out") -> Iterator[IO[str]]:
    """Opens standard output, a device or pipe, or a file that replaces the old one when the block succeeds.

    A link stays: its target is replaced and keeps its mode. A killed process leaves `.NAME.partial`, which the next one
    overwrites.

    Args:
        out: the file; None: standard output.
        inputs: files that the command reads and folders of such files; they must not be replaced.
        option: that names the file, for error messages.

    Raises:
        InputError: the file is one of the inputs, cannot be made, or another process is writing it.
        OSError: a write fails, or the file cannot be replaced; what was written is then in `.NAME.partial`.
    """
    if out is None:
        with open(sys.stdout.fileno(), "w", encoding="utf-8", newline="", closefd=False) as stdout:
            yield stdout
        return
    try:
        target = _follow(out)
        mode = target.stat().st_mode if target.exists() else None
        if owner := next((path for path in inputs if mode is not None and _is_in(target, path)), None):
            raise InputError(f"{option} is {str(out)!r}: it would replace an input of the command, {str(owner)!r}")
        if mode is not None and stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if _is_in_proc(target) or (mode is not None and not stat.S_ISREG(mode)):
            # Append mode: a file behind /dev/stdout is not truncated.
            file, partial = target.open("a", encoding="utf-8", newline=""), None
        else:
            partial = target.with_name(f".{target.name}.partial")
            file = _open_locked(partial, mode)
    except OSError as error:
        raise InputError(f"{option} is {str(out)!r}: {error.strerror}, expected a file") from None
    with file:
        try:
            yield file
            file.flush()
        except BaseException:
            if partial:
                partial.unlink(missing_ok=True)
            raise
        if partial:
            partial.rename(target)


def _follow(path: Path) -> Path:
    """The target of links; /dev/stdout leads to a link in /proc that stands for an open file."""
    for _ in range(40):
        if _is_in_proc(path) or not path.is_symlink():
            return path
        path = path.parent / path.readlink()
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))


def _is_in(file: Path, path: Path) -> bool:
    """Whether a file is another one, perhaps by another name, or lies in a folder."""
    return path.exists() and any(place.samefile(path) for place in (file, *file.resolve().parents))


def _is_in_proc(path: Path) -> bool:
    return Path(os.path.realpath(path.parent)).is_relative_to("/proc")


def _open_locked(path: Path, mode: int | None) -> TextIOWrapper:
    """Opens an empty file with a mode, locked against other processes."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    file = os.fdopen(descriptor, "w", encoding="utf-8", newline="")
    if not lock(file, path):
        file.close()
        raise OSError(None, "another process is writing it")
    file.truncate()
    if mode is not None:
        os.fchmod(descriptor, stat.S_IMODE(mode))
    return file
