"""Local files that no reader sees half of."""

from pathlib import Path
from uuid import uuid4

# How the name of a file begins while it is written; a killed process leaves it behind.
PARTIAL = ".writing-"


def write_file(path: Path, content: str) -> None:
    """Writes text in UTF-8, its line ends as they are, and then gives the file its name."""
    partial = path.with_name(f"{PARTIAL}{uuid4().hex}")
    try:
        partial.write_text(content, "utf-8", newline="")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
