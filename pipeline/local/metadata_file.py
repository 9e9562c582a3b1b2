"""The SQLite file of ML Metadata, which describes the artifacts of runs."""

import sqlite3
from contextlib import closing
from pathlib import Path

from ml_metadata.proto import metadata_store_pb2

from models.errors import InputError

METADATA, ARTIFACTS = "metadata.sqlite", "pipeline_root"


def known_artifacts(folder: Path) -> set[tuple[str, ...]]:
    """Node, output and number of each artifact in the metadata of a run folder; the folder may have been moved.

    Raises:
        sqlite3.Error: the file is damaged.
    """
    # Read directly: ML Metadata would write to the file when it opens it. Not read-only, so that an unfinished write of
    # a killed process is rolled back.
    with closing(sqlite3.connect(f"{(folder / METADATA).absolute().as_uri()}?mode=rw", uri=True)) as connection:
        [(state,), *_] = connection.execute("PRAGMA quick_check").fetchall()
        if state != "ok":
            raise sqlite3.DatabaseError(state)
        rows = connection.execute(
            "SELECT uri FROM Artifact WHERE state = ?", (metadata_store_pb2.Artifact.LIVE,)
        ).fetchall()
    return {Path(uri).parts[-3:] for (uri,) in rows}


def kept_artifacts(folder: Path) -> list[Path]:
    """Folders of all artifacts on disk, in the metadata or not."""
    return [path for path in (folder / ARTIFACTS).glob("[!.]*/[!.]*/*") if path.name.isdecimal()]


def require_metadata(folder: Path) -> None:
    """Checks that a run can reuse the artifacts in its folder.

    Raises:
        InputError: there are artifacts, but the file that describes them is missing or damaged.
    """
    path = folder / METADATA
    if not kept_artifacts(folder) and not path.exists():
        return
    try:
        known_artifacts(folder)
    except sqlite3.Error as error:
        if path.exists() and not path.stat().st_size and not kept_artifacts(folder):
            return  # the first run was killed when it started
        state = f"damaged ({error})" if path.exists() else "missing"
        raise InputError(
            f"{path} is {state}; it describes the artifacts in {ARTIFACTS}: restore it, or delete both to start over"
        ) from None
