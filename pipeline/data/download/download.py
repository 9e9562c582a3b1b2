"""Downloads shards of YouTube-8M and its vocabulary into a folder."""

import csv
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock

from models.errors import InputError, plural, printable
from models.vocabulary import read_vocabulary
from pipeline.data.download.client import Client, DownloadError, RetryPolicy
from pipeline.data.download.folder import Folder
from pipeline.data.download.parallel import in_parallel
from pipeline.data.download.published import Addresses, Partition, PublishedFile, Share

VOCABULARY = "vocabulary.csv"

# Requests for 3844 files take minutes; the sizes of the shards of a part differ by a few percent only.
SAMPLED_SIZES = 8


class Listener:
    """Progress of a download; this one ignores it. Many threads call `on_bytes` and `on_retry`."""

    def on_start(self, files: int) -> None:
        """The number of files to download or check is known."""

    def on_bytes(self, count: int) -> None:
        """That many bytes were received."""

    def on_file(self, line: str) -> None:
        """A file is done; the line has its name and outcome."""

    def on_retry(self, line: str) -> None:
        """A failure will be retried; the line has the reason."""


@dataclass
class Summary:
    """Outcome of a download.

    Args:
        files: number of files requested, with the vocabulary.
        downloaded: names of the files downloaded now.
        present: number of files that were there before.
        failed: reasons by file name.
        bytes: received, with discarded ones.
        seconds: wall time.
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
    policy: RetryPolicy,
    listener: Listener,
) -> Summary:
    """Downloads a share of some parts, checks their MD5s and puts the vocabulary beside them.

    A file gets its name when it is complete and checked. After an interruption the same call resumes: complete files
    are not fetched again, and the received part of the others is kept.

    Args:
        partitions: of one version and level, at least one.
        out: folder.
        share: of the files of each part.
        addresses: of the servers.
        workers: parallel connections.
        policy: when to retry and when to give up.
        listener: receives the progress.

    Returns:
        The outcome; `failed` lists files that could not be downloaded, which does not stop the others.

    Raises:
        InputError: the folder cannot be written, holds another data set, or its disk is too small.
        DownloadError: there is no plan, or a write failed.
    """
    started = time.monotonic()
    first = partitions[0]
    folder = Folder(out, f"{first.version}/{first.level}")
    stop, received = Event(), _Counter(listener)
    client = Client(policy, stop, received.add, listener.on_retry)
    files = [
        file
        for partition in partitions
        for file in partition.files(client.document(partition.plan_url(addresses)), addresses)
        if share.holds(file)
    ]
    _check_space(folder, files, client, stop)
    summary = Summary(len(files) + 1)
    listener.on_start(summary.files)

    def fetch(file: PublishedFile | None) -> bool:
        """Downloads a file, None for the vocabulary, unless it is there; returns whether it did."""
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
                    listener.on_file(f"{name}: failed: {result}")
                    continue
                if isinstance(result, BaseException):
                    raise result
                if file:
                    folder.record(file)
                if result:
                    summary.downloaded.append(name)
                else:
                    summary.present += 1
                listener.on_file(f"{name}: {'downloaded' if result else 'was there'}")
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
        self._listener.on_bytes(count)


def _fetch_vocabulary(folder: Folder, client: Client, url: str) -> bool:
    """Downloads the vocabulary in one piece, as it has no published MD5, and checks it; keeps an existing file."""
    if folder.has(VOCABULARY):
        return False
    body = client.document(url)
    try:
        read_vocabulary(body.decode("utf-8-sig"), url)
    except (InputError, UnicodeDecodeError, csv.Error) as error:
        raise DownloadError(
            f"{url}: not a vocabulary: {printable(str(error).removeprefix(f'vocabulary {url}: '))}"
        ) from None
    with folder.unfinished(VOCABULARY) as stream:
        stream.seek(0)
        stream.truncate()
        stream.write(body)
    return True


def _check_space(folder: Folder, files: Sequence[PublishedFile], client: Client, stop: Event) -> None:
    """Estimates the space needed from the sizes of some files; passes if the server does not report sizes.

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
            f"GB for {plural(len(missing), 'file')} (estimated from {len(sizes)}); --shard 1/10 downloads a tenth"
        )
