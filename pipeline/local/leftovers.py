"""Files that nothing needs any more: the next run removes those of killed runs, `yt8m gc` those of finished ones."""

import json
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from components.example_gen.component import REJECTED_RUN
from components.pusher import PUSHING
from components.served_models import versions
from models.errors import InputError
from models.whole_files import PARTIAL
from pipeline.beam_settings import JOB_FILE, PREFLIGHT
from pipeline.files.locks import LOCK, locked, try_lock
from pipeline.local.metadata_file import ARTIFACTS, kept_artifacts, known_artifacts
from pipeline.steps import Step
from tuner.search_folder import FINISHED

SERVING, CHECKPOINTS, SEARCH = "serving", "checkpoints", "search"

SECONDS_A_DAY = 24 * 3600


@dataclass(frozen=True)
class Leftover:
    """A file or folder that can be removed, and why."""

    path: Path
    why: str

    @property
    def size(self) -> int:
        """Total size in bytes."""
        return sum(status.st_size for status in _statuses(self.path))

    @property
    def changed(self) -> float:
        """Time of the last change of anything in it, in seconds since 1970."""
        return max((status.st_mtime for status in _statuses(self.path)), default=time.time())

    def remove(self) -> None:
        """Deletes it with its content."""
        if self.path.is_dir() and not self.path.is_symlink():
            shutil.rmtree(self.path, ignore_errors=True)
        else:
            self.path.unlink(missing_ok=True)


def leftovers_of_killed_runs(folder: Path) -> Iterator[Leftover]:
    """Leftovers of killed processes in the folder of a run, a search or several runs, which the caller has locked."""
    for place in (folder, folder / "report"):
        yield from (Leftover(path, "partial file") for path in place.glob(f"{PARTIAL}*"))
    for place in (folder, folder / SERVING):
        yield from (Leftover(path, "partial pushed model") for path in place.glob(f"{PUSHING}*"))
    artifacts = folder / ARTIFACTS
    yield from (Leftover(path, "temporary files of a step") for path in artifacts.glob("*/.system/*/*"))
    yield from (Leftover(path, "reports of an engine's workers") for path in artifacts.glob(f"{PREFLIGHT}*"))
    try:
        known = known_artifacts(folder)
    except sqlite3.Error:  # damaged or missing: which artifacts are needed is unknown
        return
    for path in kept_artifacts(folder):
        if path.relative_to(artifacts).parts not in known:
            yield Leftover(path, "artifact of a step that never finished")


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Locks a folder for a run or a search, cancels the jobs of killed ones on an engine, and removes their leftovers.

    Raises:
        InputError: another process is at work there, or a killed one's job on an engine may still be.
    """
    with locked(folder):
        if (folder / JOB_FILE).exists():
            from pipeline.beam.jobs import cancel_recorded_job  # imports Beam

            cancel_recorded_job(folder / JOB_FILE)
        for leftover in leftovers_of_killed_runs(folder):
            leftover.remove()
        yield


def leftovers_of_finished_runs(folder: Path, kept_versions: int | None) -> Iterator[Leftover]:
    """Files of finished runs and searches that nothing reads any more.

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
    rejected = folder / ARTIFACTS / Step.EXAMPLE_GEN / "quarantine" / REJECTED_RUN
    if rejected.exists():
        yield Leftover(rejected, "rejected records of a failed run")
    if kept_versions is not None:
        for place in (folder, folder / SERVING):
            older = versions(str(place))[: -max(kept_versions, 1)]
            yield from (Leftover(place / version, "older pushed version") for version in older)


def removable(folder: Path, kept_versions: int | None) -> list[Leftover]:
    """All leftovers in a folder and its subfolders, except those younger than a day or in a folder that is in use.

    Raises:
        InputError: there is no such folder.
    """
    if not folder.is_dir():
        raise InputError(
            f"{folder}: no such folder, expected the folder of a run, a search or runs, or a push directory"
        )
    yesterday = time.time() - SECONDS_A_DAY
    if _in_use(folder):
        return []
    old = []
    for place in (folder, *sorted(path for path in folder.iterdir() if path.is_dir() and not _in_use(path))):
        leftovers = (*leftovers_of_killed_runs(place), *leftovers_of_finished_runs(place, kept_versions))
        old += [leftover for leftover in leftovers if leftover.changed < yesterday]
    return old


def _is_finished(checkpoint: Path) -> bool:
    try:
        return bool(json.loads(checkpoint.read_text())["progress"]["finished"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _in_use(folder: Path) -> bool:
    if not (folder / LOCK).exists():
        return False
    lock = try_lock(folder / LOCK)
    if lock is None:
        return True
    lock.close()
    return False


def _statuses(path: Path) -> Iterator[os.stat_result]:
    yield path.lstat()
    if path.is_dir() and not path.is_symlink():
        for parent, folders, files in os.walk(path):
            for name in (*folders, *files):
                yield Path(parent, name).lstat()
