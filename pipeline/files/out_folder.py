"""The folder that a command writes."""

from pathlib import Path

from models.errors import InputError, quote

# In its path they would be patterns to Beam, TFX and KerasTuner, which list the files that they have written.
PATTERNS = "[]*?"


def make_folder(out: Path) -> None:
    """Makes the folder of `--out`.

    Raises:
        InputError: it cannot be made or written, or has a character in its path that libraries take for a pattern.
    """
    path = str(out.absolute())
    if character := next((character for character in path if character in PATTERNS or not character.isprintable()), ""):
        raise InputError(f"--out is {quote(path)}: holds {character!r}, allowed is a path without [ ] * ?")
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / ".writable"
        probe.write_bytes(b"\0" * 4096)
        probe.unlink()
    except OSError as error:
        raise InputError(f"--out is {quote(str(out))}: {error.strerror}, expected a folder to write") from None
