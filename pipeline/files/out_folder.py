"""The folder that a command writes to."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from models.errors import InputError, quote

# Beam, TFX and KerasTuner take these for patterns when they list the files that they have written.
PATTERNS = "[]*?"


def make_folder(out: Path) -> None:
    """Makes the folder of `--out`.

    Raises:
        InputError: it cannot be made or written, or its path has a character that libraries take for a pattern.
    """
    path = str(out.absolute())
    if character := next((character for character in path if character in PATTERNS or not character.isprintable()), ""):
        raise InputError(f"--out is {quote(path)}: holds {character!r}, allowed is a path without [ ] * ?")
    with writing_folder(out):
        out.mkdir(parents=True, exist_ok=True)
        probe = out / ".writable"
        probe.write_bytes(b"\0" * 4096)
        probe.unlink()


@contextmanager
def writing_folder(out: Path) -> Iterator[None]:
    """Turns an error of the system into one that names `--out`.

    Raises:
        InputError: the block could not write to the folder.
    """
    try:
        yield
    except OSError as error:
        raise InputError(f"--out is {quote(str(out))}: {error.strerror}, expected a folder to write") from None
