"""The file in which ML Metadata remembers the results of runs."""

import sqlite3
from contextlib import closing
from pathlib import Path

from ml_metadata.proto import metadata_store_pb2

from models.errors import InputError

METADATA, ARTIFACTS = "metadata.sqlite", "pipeline_root"


def known_artifacts(folder: Path) -> set[tuple[str, ...]]:
    """Node, output and number of the artifacts that a run's folder, which may have been moved, has by its metadata.

    Raises:
        sqlite3.Error: the file is damaged.
    """
    # Read directly: ML Metadata would write to the file when it opens it. Not read-only, so that what a killed process
    # had begun to write is rolled back.
    with closing(sqlite3.connect(f"{(folder / METADATA).absolute().as_uri()}?mode=rw", uri=True)) as connection:
        [(state,), *_] = connection.execute("PRAGMA quick_check").fetchall()
        if state != "ok":
            raise sqlite3.DatabaseError(state)
        rows = connection.execute(
            "SELECT uri FROM Artifact WHERE state = ?", (metadata_store_pb2.Artifact.LIVE,)
        ).fetchall()
    return {Path(uri).parts[-3:] for (uri,) in rows}


def kept_artifacts(folder: Path) -> list[Path]:
    """Folders of the artifacts that lie there, known or not."""
    return [path for path in (folder / ARTIFACTS).glob("[!.]*/[!.]*/*") if path.name.isdigit()]


def require_metadata(folder: Path) -> None:
    """Looks whether the results in a run's folder can be gone on with.

    Raises:
        InputError: there are results, but the file that says what they are is missing or damaged.
    """
    path = folder / METADATA
    if not kept_artifacts(folder) and not path.exists():
        return
    try:
        known_artifacts(folder)
    except sqlite3.Error as error:
        if path.exists() and not path.stat().st_size and not kept_artifacts(folder):
            return  # a first run was killed as it began
        state = f"damaged ({error})" if path.exists() else "missing"
        raise InputError(
            f"{path} is {state}; it says what the results in {ARTIFACTS} are: put it back, or delete both to begin anew"
        ) from None
