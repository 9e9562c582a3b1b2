"""What runs leave that nothing needs any more: of killed ones at once, of others when somebody asks for the space."""

import json
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from components.example_gen.component import REFUSED
from components.pusher import PUSHING
from components.served_models import versions
from models.errors import InputError
from models.whole_files import PARTIAL
from pipeline.files.locks import LOCK, locked, try_lock
from pipeline.local.metadata_file import ARTIFACTS, kept_artifacts, known_artifacts
from pipeline.steps import Step
from tuner.search import FINISHED

SERVING, CHECKPOINTS, SEARCH = "serving", "checkpoints", "search"

SECONDS_A_DAY = 24 * 3600


@dataclass(frozen=True)
class Leftover:
    """A file or folder that may go, and why."""

    path: Path
    why: str

    @property
    def size(self) -> int:
        """Bytes of all that is in it."""
        return sum(status.st_size for status in _all_in(self.path))

    @property
    def changed(self) -> float:
        """When anything in it was last changed, in seconds since 1970."""
        return max((status.st_mtime for status in _all_in(self.path)), default=time.time())

    def remove(self) -> None:
        """Deletes it with all that is in it."""
        if self.path.is_dir() and not self.path.is_symlink():
            shutil.rmtree(self.path, ignore_errors=True)
        else:
            self.path.unlink(missing_ok=True)


def leftovers_of_killed_runs(folder: Path) -> Iterator[Leftover]:
    """What killed processes left in the folder of a run, a search or several runs; only while no other works there."""
    for place in (folder, folder / "report"):
        yield from (Leftover(path, "half a file") for path in place.glob(f"{PARTIAL}*"))
    for place in (folder, folder / SERVING):
        yield from (Leftover(path, "half a pushed model") for path in place.glob(f"{PUSHING}*"))
    artifacts = folder / ARTIFACTS
    yield from (Leftover(path, "scratch of a step") for path in artifacts.glob("*/.system/*/*"))
    try:
        known = known_artifacts(folder)
    except sqlite3.Error:  # damaged or missing: nobody knows what is needed
        return
    for path in kept_artifacts(folder):
        if path.relative_to(artifacts).parts not in known:
            yield Leftover(path, "result of a step that never ended")


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Locks a folder for a run or a search, and removes what killed ones have left there.

    Raises:
        InputError: another process is at work there.
    """
    with locked(folder):
        for leftover in leftovers_of_killed_runs(folder):
            leftover.remove()
        yield


def leftovers_of_finished_runs(folder: Path, kept_versions: int | None) -> Iterator[Leftover]:
    """What only a new run, training or search would make again.

    Args:
        folder: of a run, a search or several runs, a push directory, or a cluster's work directory.
        kept_versions: how many of the newest pushed versions stay; None: all.
    """
    for path in (folder / CHECKPOINTS).glob("*/checkpoint.json"):
        if _is_finished(path):
            yield Leftover(path.parent, "checkpoint of a finished training")
    yield from (
        Leftover(path.parent, "trials of a finished search") for path in (folder / SEARCH).glob(f"*/{FINISHED}")
    )
    refused = folder / ARTIFACTS / Step.EXAMPLE_GEN / "quarantine" / REFUSED
    if refused.exists():
        yield Leftover(refused, "bad records of a refused run")
    if kept_versions is not None:
        for place in (folder, folder / SERVING):
            older = versions(str(place))[: -max(kept_versions, 1)]
            yield from (Leftover(place / version, "older pushed version") for version in older)


def removable(folder: Path, kept_versions: int | None) -> list[Leftover]:
    """All that may go from a folder and the folders in it; nothing younger than a day, nothing where a run is at work.

    Raises:
        InputError: there is no such folder.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder, expected that of a run, a search, runs, or a push directory")
    yesterday = time.time() - SECONDS_A_DAY
    if _in_use(folder):
        return []
    found = []
    for place in (folder, *sorted(path for path in folder.iterdir() if path.is_dir() and not _in_use(path))):
        leftovers = (*leftovers_of_killed_runs(place), *leftovers_of_finished_runs(place, kept_versions))
        found += [leftover for leftover in leftovers if leftover.changed < yesterday]
    return found


def _is_finished(checkpoint: Path) -> bool:
    try:
        return bool(json.loads(checkpoint.read_text())["progress"]["finished"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _in_use(folder: Path) -> bool:
    if not (folder / LOCK).exists():
        return False
    held = try_lock(folder / LOCK)
    if held is None:
        return True
    held.close()
    return False


def _all_in(path: Path) -> Iterator[os.stat_result]:
    yield path.lstat()
    if path.is_dir() and not path.is_symlink():
        for parent, folders, files in os.walk(path):
            for name in (*folders, *files):
                yield Path(parent, name).lstat()
