"""The folder that a command writes to."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from models.errors import InputError, quote

# Beam, TFX and KerasTuner list their files with globs, so a folder's name must not have these.
PATTERNS = "[]*?"


def make_folder(out: Path) -> None:
    """Makes the folder of `--out`.

    Raises:
        InputError: it cannot be made or written, or its path has a character of PATTERNS or an unprintable one.
    """
    path = str(out.absolute())
    if character := next((character for character in path if character in PATTERNS or not character.isprintable()), ""):
        raise InputError(f"--out is {quote(path)}: contains {character!r}, expected a path without [ ] * ?")
    with writing_folder(out):
        out.mkdir(parents=True, exist_ok=True)
        probe = out / ".writable"
        probe.write_bytes(b"\0" * 4096)
        probe.unlink()


@contextmanager
def writing_folder(out: Path) -> Iterator[None]:
    """Turns an OSError into an InputError that names `--out`.

    Raises:
        InputError: the block could not write to the folder.
    """
    try:
        yield
    except OSError as error:
        raise InputError(f"--out is {quote(str(out))}: {error.strerror}, expected a folder to write") from None
