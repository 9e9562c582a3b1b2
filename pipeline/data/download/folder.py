"""The folder that shards are downloaded to."""

import errno
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedRandom
from pathlib import Path

from models.errors import InputError
from pipeline.data.download.client import DownloadError
from pipeline.data.download.published import PublishedFile


class Folder:
    """Shards, and in `.download` the parts of unfinished ones and a record of what was checked.

    `yt8m run` reads the shards alone, also while others are downloaded: nothing in `.download` ends in `.tfrecord`.

    Args:
        path: the folder; made if it isn't there.
        dataset: version and level of its shards, say 2/frame. They have the same names in all of them.

    Raises:
        InputError: it can't be made or written, or holds another data set.
    """

    def __init__(self, path: Path, dataset: str) -> None:
        self.path, self._dataset = path, dataset
        self._own = path / ".download"
        self._record = self._own / "checked.jsonl"
        try:
            self._own.mkdir(parents=True, exist_ok=True)
            lines = self._record.read_text("utf-8").splitlines() if self._record.exists() else []
            if not os.access(self._own, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        except OSError as error:
            raise InputError(f"OUT is {str(path)!r}: {error.strerror}, expected a folder that may be written") from None
        self._checked = dict(_entries(lines))
        for name, entry in self._checked.items():
            if entry.get("dataset") != dataset and self.has(name):
                raise InputError(
                    f"OUT is {str(path)!r}, which holds {entry.get('dataset')}: expected another folder for {dataset}"
                )

    @property
    def free(self) -> int:
        """Bytes that may be written."""
        return shutil.disk_usage(self.path).free

    def has(self, name: str) -> bool:
        """Whether a file is there, checked or not."""
        return (self.path / name).exists()

    def holds(self, file: PublishedFile) -> bool:
        """Whether a shard is there and is the published one.

        Its bytes are read only if it is not recorded, or changed since.

        Raises:
            DownloadError: another file has its name: someone's own, or a damaged one. It is left alone.
        """
        path = self.path / file.name
        if not path.exists():
            return False
        if self._checked.get(file.name) != self._entry(file):
            with path.open("rb") as stream:
                found = hashlib.file_digest(stream, "md5").hexdigest()
            if found != file.md5:
                raise DownloadError(f"{path}: MD5 is {found}, expected {file.md5}: remove it, or choose another OUT")
        return True

    def record(self, file: PublishedFile) -> None:
        """Remembers that a shard was found to be the published one."""
        entry = self._entry(file)
        if self._checked.get(file.name) != entry:
            self._checked[file.name] = entry
            self._append(entry)

    def part_bytes(self, file: PublishedFile) -> int:
        """Bytes of an unfinished shard that were downloaded before."""
        part = self._part(file.name)
        return part.stat().st_size if part.exists() else 0

    @contextmanager
    def unfinished(self, name: str) -> Iterator[BufferedRandom]:
        """A stream to append to; what it holds becomes the file if nothing is raised, else stays for the next time.

        Raises:
            DownloadError: another process is downloading it.
        """
        part = self._part(name)
        with part.open("a+b") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise DownloadError(f"{self.path / name}: another process is downloading it") from None
            except OSError:
                pass  # some network file systems have no locks
            try:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
                part.replace(self.path / name)
            finally:
                if stream.seek(0, os.SEEK_END) == 0:
                    part.unlink(missing_ok=True)

    def _part(self, name: str) -> Path:
        return self._own / f"{name}.part"

    def _entry(self, file: PublishedFile) -> dict[str, object]:
        state = (self.path / file.name).stat()
        return {
            "file": file.name,
            "dataset": self._dataset,
            "md5": file.md5,
            "bytes": state.st_size,
            "changed_ns": state.st_mtime_ns,
        }

    def _append(self, entry: dict[str, object]) -> None:
        # A line a write: several processes may append, and a killed one spoils its last line only.
        with self._record.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")


def _entries(lines: list[str]) -> Iterator[tuple[str, dict[str, object]]]:
    """Names and what was recorded last of them; lines that a killed process spoiled are left out."""
    for line in lines:
        with suppress(ValueError, TypeError, KeyError):
            entry = json.loads(line)
            yield entry["file"], entry
