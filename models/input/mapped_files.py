"""Files mapped into memory for reading: local ones, and copies of those in a store."""

import mmap
import resource
import shutil
import tempfile
import threading
import weakref
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import tensorflow as tf

from models.errors import InputError, reason

# Files of a store that are copied at a time.
COPIED_AT_ONCE = 4

# Bytes of files that are shuffled together. 12,000 videos with their frames are enough to mix, and training begins when
# they are copied.
LARGEST_GROUP = 4 * 2**30

# Share of the free disk that copies may take: training and validation have a cache each.
SHARE_OF_DISK = 0.4


class MappedFiles(Protocol):
    """Files whose bytes are read by their numbers; their pages are the system's cache, not memory of the process."""

    def open(self, number: int) -> memoryview:
        """The bytes of a file; any thread may call it."""

    def groups(self, order: Sequence[int]) -> list[Sequence[int]]:
        """Splits files into groups, in this order, of which two at a time can be read at random places."""

    def announce(self, groups: Sequence[Sequence[int]]) -> None:
        """Says in which order groups of files will be read."""


def map_files(paths: Sequence[str], sizes: Sequence[int]) -> MappedFiles:
    """Maps local files, or copies of files in a store.

    Args:
        paths: of the files.
        sizes: in bytes.
    """
    return CachedFiles(paths, sizes) if any("://" in path for path in paths) else LocalFiles(paths)


class LocalFiles:
    """Maps files when they are first read.

    Args:
        paths: of the files, none of which is empty when it is read.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        # A map keeps its file open, and processes often start with a limit of 1,024; half of it is left to others.
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = max(soft, 2 * len(paths))
        if wanted > soft:
            soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        self._paths = paths
        self.open = lru_cache(maxsize=soft // 2)(lambda number: _map(self._paths[number]))

    def groups(self, order: Sequence[int]) -> list[Sequence[int]]:
        """One group: all files are at hand."""
        return [order]

    def announce(self, groups: Sequence[Sequence[int]]) -> None:
        """Nothing is read ahead: the system does that."""


class CachedFiles:
    """Copies whole files of a store to the local disk, ahead of their use.

    Args:
        paths: of the files, as TensorFlow reads them.
        sizes: in bytes.
        limit: the most bytes of copies, but two groups are always kept; by default a share of the free disk.
    """

    def __init__(self, paths: Sequence[str], sizes: Sequence[int], limit: int | None = None) -> None:
        free = shutil.disk_usage(tempfile.gettempdir()).free
        self._paths, self._sizes = paths, sizes
        self._limit = int(SHARE_OF_DISK * free) if limit is None else limit
        self._lock, self._threads = threading.Lock(), ThreadPoolExecutor(COPIED_AT_ONCE)
        weakref.finalize(self, self._threads.shutdown, wait=False, cancel_futures=True)
        self._copies: dict[int, Future[memoryview]] = {}
        self._groups: Sequence[Sequence[int]] = ()
        self._group_of: dict[int, int] = {}
        self._group = 0  # that is read

    def open(self, number: int) -> memoryview:
        """The bytes of a file, which is copied first unless it was.

        Raises:
            InputError: the file cannot be copied.
        """
        with self._lock:
            if self._group_of.get(number, 0) > self._group:
                self._begin(self._group_of[number])
            copy = self._copied(number)
        return copy.result()

    def groups(self, order: Sequence[int]) -> list[Sequence[int]]:
        """Groups of at most half of the limit: while one is read, the next is copied."""
        groups: list[list[int]] = []
        largest = min(self._limit // 2, LARGEST_GROUP)
        size = largest
        for number in order:
            size += self._sizes[number]
            if size > largest:
                groups.append([])
                size = self._sizes[number]
            groups[-1].append(number)
        return list(groups)

    def announce(self, groups: Sequence[Sequence[int]]) -> None:
        """Begins to copy the first group; the first use of a file of a later one begins the one after it."""
        with self._lock:
            self._groups = groups
            self._group_of = {number: place for place, group in enumerate(groups) for number in group}
            self._begin(0)

    def _begin(self, group: int) -> None:
        self._group = group
        for number in self._in_use():
            self._copied(number)

    def _in_use(self) -> list[int]:
        return [number for group in self._groups[self._group : self._group + 2] for number in group]

    def _copied(self, number: int) -> "Future[memoryview]":
        if number not in self._copies:
            self._copies[number] = self._threads.submit(self._copy, number)
            size = sum(self._sizes[kept] for kept in self._copies)
            in_use = {number, *self._in_use()}
            for dropped in [kept for kept in self._copies if kept not in in_use]:
                if size > self._limit:
                    del self._copies[dropped]
                    size -= self._sizes[dropped]
        return self._copies[number]

    def _copy(self, number: int) -> memoryview:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "copy")
            try:
                tf.io.gfile.copy(self._paths[number], str(path))
            except (tf.errors.OpError, OSError) as error:
                raise InputError(f"{self._paths[number]} cannot be copied to {folder}: {reason(error)}") from error
            return _map(str(path))  # the file has no name from here on and goes with its map


def _map(path: str) -> memoryview:
    with open(path, "rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
