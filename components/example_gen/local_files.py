"""Checks of local paths before they are opened, with the reason where one cannot be used."""

import os
import stat

from models.errors import InputError


def exists(path: str, option: str) -> bool:
    """Whether a local path exists, if only as a broken link.

    Raises:
        InputError: the disk doesn't answer that.
    """
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):  # a NUL byte
        return False
    except OSError as error:
        raise InputError(f"{option}: cannot read {path!r}: {error.strerror}") from None
    return True


def file_state(path: str, option: str) -> os.stat_result:
    """The status of a file or folder, links followed.

    Raises:
        InputError: it cannot be reached; names the target of a link.
    """
    try:
        return os.stat(path)
    except OSError as error:
        if os.path.islink(path):
            raise InputError(f"{option}: {path!r} links to {os.readlink(path)!r}: {error.strerror}") from None
        raise InputError(f"{option}: cannot read {path!r}: {error.strerror}") from None


def require_file(path: str, option: str) -> os.stat_result:
    """The status of a local file that can be read; opening a pipe would wait for ever.

    Raises:
        InputError: it is no such file.
    """
    state = file_state(path, option)
    if not stat.S_ISREG(state.st_mode):
        kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
        raise InputError(f"{option}: {path!r} is {kinds.get(stat.S_IFMT(state.st_mode), 'a device')}, expected a file")
    if not os.access(path, os.R_OK):
        raise InputError(f"{option}: cannot read {path!r}: Permission denied")
    return state


def require_text(path: str, option: str) -> None:
    """Raises InputError if a name is not UTF-8: neither pages nor metadata could hold it."""
    try:
        path.encode()
    except UnicodeEncodeError:
        raise InputError(f"{option}: {path!r} is not UTF-8 text: rename it") from None
