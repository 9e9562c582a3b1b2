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
    """Shards, and in `.download` the unfinished ones and a record of the checked ones.

    `yt8m run` can read complete shards while others are downloaded: no name in `.download` ends in `.tfrecord`.

    Args:
        path: the folder; created if missing.
        dataset: version and level of its shards, say 2/frame. All data sets have the same file names.

    Raises:
        InputError: the folder cannot be made or written, or holds another data set.
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
        """Free space in bytes."""
        return shutil.disk_usage(self.path).free

    def has(self, name: str) -> bool:
        """Whether a file exists, checked or not."""
        return (self.path / name).exists()

    def holds(self, file: PublishedFile) -> bool:
        """Whether a shard exists and is the published one.

        Its bytes are read only if it is not recorded or has changed since.

        Raises:
            DownloadError: another or a damaged file has its name; it is not overwritten.
        """
        path = self.path / file.name
        if not path.exists():
            return False
        if self._checked.get(file.name) != self._entry(file):
            with path.open("rb") as stream:
                md5 = hashlib.file_digest(stream, "md5").hexdigest()
            if md5 != file.md5:
                raise DownloadError(f"{path}: MD5 is {md5}, expected {file.md5}: remove it, or choose another OUT")
        return True

    def record(self, file: PublishedFile) -> None:
        """Records that a shard is the published one."""
        entry = self._entry(file)
        if self._checked.get(file.name) != entry:
            self._checked[file.name] = entry
            self._append(entry)

    def part_bytes(self, file: PublishedFile) -> int:
        """Bytes on disk of an unfinished shard."""
        part = self._part(file.name)
        return part.stat().st_size if part.exists() else 0

    @contextmanager
    def unfinished(self, name: str) -> Iterator[BufferedRandom]:
        """A stream to append to; it becomes the file when the block succeeds, else it is kept to resume from.

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
        # One write per line: several processes may append, and a killed one damages only its last line.
        with self._record.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")


def _entries(lines: list[str]) -> Iterator[tuple[str, dict[str, object]]]:
    """Names and records, later ones last; lines damaged by a killed process are left out."""
    for line in lines:
        with suppress(ValueError, TypeError, KeyError):
            entry = json.loads(line)
            yield entry["file"], entry
