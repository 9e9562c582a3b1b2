"""Downloads shards of YouTube-8M and its vocabulary into a folder."""

import csv
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock

from models.errors import InputError, plain
from models.vocabulary import read_vocabulary
from pipeline.data.download.client import Client, DownloadError, RetryPolicy
from pipeline.data.download.folder import Folder
from pipeline.data.download.parallel import in_parallel
from pipeline.data.download.published import Addresses, Partition, PublishedFile, Share

VOCABULARY = "vocabulary.csv"

# Asking 3844 files takes minutes; the sizes of shards of a part differ by some percent only.
SAMPLED_SIZES = 8


class Listener:
    """Told how a download goes; this one makes nothing of it. `receives` and `says` are called by many threads."""

    def begins(self, files: int) -> None:
        """The number of files to download or check is known."""

    def receives(self, count: int) -> None:
        """So many bytes came."""

    def ends(self, line: str) -> None:
        """A file is done; the line says how."""

    def says(self, line: str) -> None:
        """A failure that is tried again."""


@dataclass
class Summary:
    """What a download did.

    Args:
        files: number of files asked for, the vocabulary included.
        downloaded: names of those that came now.
        present: number of those that were there.
        failed: why, by name.
        bytes: received, those that were thrown away included.
        seconds: it took.
    """

    files: int
    downloaded: list[str] = field(default_factory=list)
    present: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    bytes: int = 0
    seconds: float = 0.0


def download(
    partitions: Sequence[Partition],
    out: Path,
    share: Share,
    addresses: Addresses,
    workers: int,
    patience: RetryPolicy,
    listener: Listener,
) -> Summary:
    """Downloads a share of some parts, checks their MD5s and puts the vocabulary beside them.

    A file gets its name when it is complete and checked. Whenever this ends, the same call goes on from there: files
    that are there are not fetched again, and of others what came is kept.

    Args:
        partitions: of one version and level, at least one.
        out: folder.
        share: which files.
        addresses: where from.
        workers: connections at a time.
        patience: when to give up.
        listener: told how it goes.

    Returns:
        Its `failed` names the files that could not be downloaded; they don't keep others from it.

    Raises:
        InputError: the folder can't be written, holds another data set, or its disk is too small.
        DownloadError: there is no plan, or the folder can't be written any longer.
    """
    started = time.monotonic()
    first = partitions[0]
    folder = Folder(out, f"{first.version}/{first.level}")
    stop, received = Event(), _Counter(listener)
    client = Client(patience, stop, received.add, listener.says)
    files = [
        file
        for partition in partitions
        for file in partition.files(client.document(partition.plan_url(addresses)), addresses)
        if share.holds(file)
    ]
    _check_space(folder, files, client, stop)
    summary = Summary(len(files) + 1)
    listener.begins(summary.files)

    def fetch(file: PublishedFile | None) -> bool:
        """Whether it had to be downloaded; None is the vocabulary."""
        if file is None:
            return _fetch_vocabulary(folder, client, addresses.vocabulary)
        if folder.holds(file):
            return False
        with folder.unfinished(file.name) as stream:
            client.complete(stream, file.url, file.md5)
        return True

    try:
        with closing(in_parallel(fetch, [None, *files], workers, stop)) as results:
            for file, result in results:
                name = file.name if file else VOCABULARY
                if isinstance(result, DownloadError):
                    summary.failed[name] = str(result)
                    listener.ends(f"{name}: failed: {result}")
                    continue
                if isinstance(result, BaseException):
                    raise result
                if file:
                    folder.record(file)
                if result:
                    summary.downloaded.append(name)
                else:
                    summary.present += 1
                listener.ends(f"{name}: {'downloaded' if result else 'was there'}")
    except OSError as error:
        raise DownloadError(f"{error.filename or out}: {error.strerror or error}") from None
    summary.bytes, summary.seconds = received.total, time.monotonic() - started
    return summary


class _Counter:
    """Counts the bytes of all threads."""

    def __init__(self, listener: Listener) -> None:
        self.total, self._lock, self._listener = 0, Lock(), listener

    def add(self, count: int) -> None:
        with self._lock:
            self.total += count
        self._listener.receives(count)


def _fetch_vocabulary(folder: Folder, client: Client, url: str) -> bool:
    """Has no published MD5: it is fetched in one piece, and must be a vocabulary. One's own is left alone."""
    if folder.has(VOCABULARY):
        return False
    body = client.document(url)
    try:
        read_vocabulary(body.decode("utf-8-sig"), url)
    except (InputError, UnicodeDecodeError, csv.Error) as error:
        raise DownloadError(f"{url}: no vocabulary: {plain(str(error).removeprefix(f'vocabulary {url}: '))}") from None
    with folder.unfinished(VOCABULARY) as stream:
        stream.seek(0)
        stream.truncate()
        stream.write(body)
    return True


def _check_space(folder: Folder, files: Sequence[PublishedFile], client: Client, stop: Event) -> None:
    """Asks for the sizes of some files and compares; a server that doesn't tell them is believed to have small ones.

    Raises:
        InputError: the disk is too small.
    """
    missing = [file for file in files if not folder.has(file.name)]
    number = min(SAMPLED_SIZES, len(missing))
    sample = [missing[index * len(missing) // number].url for index in range(number)]
    with closing(in_parallel(client.size, sample, number, stop)) as results:
        sizes = []
        for _, size in results:
            if isinstance(size, BaseException):
                raise size
            if size is not None:
                sizes.append(size)
    if not sizes:
        return
    needed = len(missing) * sum(sizes) / len(sizes) - sum(map(folder.part_bytes, missing))
    if needed > (free := folder.free):
        raise InputError(
            f"OUT is {str(folder.path)!r}, whose disk has {free / 1e9:.3g} GB free, expected about {needed / 1e9:.3g} "
            f"GB for {len(missing)} files (by the sizes of {len(sizes)} of them); --shard 1/10 takes a tenth"
        )
