"""Local files that are written atomically: readers see all of a file or none."""

from pathlib import Path
from uuid import uuid4

# Prefix of a file's name while it is written; a killed process leaves such a file behind.
PARTIAL = ".writing-"


def write_file(path: Path, content: str) -> None:
    """Writes UTF-8 text without changing line ends, then renames the file to `path`."""
    partial = path.with_name(f"{PARTIAL}{uuid4().hex}")
    try:
        partial.write_text(content, "utf-8", newline="")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
