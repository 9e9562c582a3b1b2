"""Soft targets: for each video of a file of records, in their order, the most probable labels by a teacher.

A file holds the videos one after another, so that a video is a slice of it, then a trailer of `_TRAILER`.
"""

import struct
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np
import tensorflow as tf

from models.errors import InputError, plural, reason
from models.input.index import READ_AT_ONCE, VideoIndex
from models.input.mapped_files import MappedFiles, map_files
from models.metrics.outcomes import best_labels

# Labels a video, in 400 bytes: the others count as 0. A video has 3 labels on average, and scores look at 20.
TOP = 100

# Of the format: raised when files of before can no longer be read.
VERSION = 1

# The largest float16 below 1: at most half of it, added to no label, stays below one half (see `MicroF1`).
HIGHEST = 1 - 2**-11

# Mark, version, and the fields of `Trailer`. Behind the videos, as they are known when these are written.
_TRAILER, _MARK = struct.Struct("<8sIIQIdd"), b"yt8msoft"


@dataclass(frozen=True)
class Trailer:
    """What a file says of itself.

    Attributes:
        classes: number of labels.
        videos: their number.
        checksum: CRC-32 of all videos.
        total: sum of all probabilities.
        left_out: sum of those beyond each video's TOP labels.
    """

    classes: int
    videos: int
    checksum: int
    total: float
    left_out: float


def soft_targets_path(folder: str, records: str) -> str:
    """The file with the soft targets of a file of records, ExampleGen's or Transform's.

    Example:
        >>> soft_targets_path("soft_targets/7", "examples/1/Split-train/data_tfrecord-00000-of-00005")
        'soft_targets/7/Split-train/data_tfrecord-00000-of-00005'
    """
    return "/".join([folder, *records.split("/")[-2:]])


class SoftTargetsWriter:
    """Writes the file of one file of records.

    Args:
        file: open for writing, empty.
        classes: number of labels, C.
    """

    def __init__(self, file: BinaryIO, classes: int) -> None:
        self._file, self._classes = file, classes
        self._videos = self._checksum = 0
        self._total = self._left_out = 0.0

    def write(self, probabilities: np.ndarray) -> None:
        """Appends videos.

        Args:
            probabilities: float32 [B, C]; NaN makes the sums of the trailer NaN.
        """
        best = best_labels(np.nan_to_num(probabilities), TOP)
        kept = np.take_along_axis(probabilities, best, axis=1)
        videos = np.empty(len(best), _video(self._classes))
        videos["labels"], videos["probabilities"] = best, np.minimum(kept, HIGHEST)
        content = videos.tobytes()
        self._file.write(content)
        self._videos += len(best)
        self._checksum = zlib.crc32(content, self._checksum)
        total = float(probabilities.sum(dtype=np.float64))
        self._total += total
        self._left_out += total - float(kept.sum(dtype=np.float64))

    def finish(self) -> None:
        """Writes the trailer; the last call."""
        trailer = (self._classes, self._videos, self._checksum, self._total, self._left_out)
        self._file.write(_TRAILER.pack(_MARK, VERSION, *trailer))


@dataclass(frozen=True)
class SoftTargets:
    """The soft targets of several files: 12 bytes a file, and what the system maps.

    Attributes:
        paths: of the files with the soft targets of each file of an index.
        files: the same, mapped.
        checksums: of each.
        file: int32 [N], the place of each video's file in `files`; the index's.
        first: int64, the number of the first video of each file.
        classes: number of labels, C.
        weight: of the soft targets; labels have 1 - weight.
    """

    paths: Sequence[str]
    files: MappedFiles
    checksums: np.ndarray
    file: np.ndarray
    first: np.ndarray
    classes: int
    weight: float
    _verified: set[int] = field(default_factory=set)

    def mix(self, labels: tuple[np.ndarray, np.ndarray], videos: np.ndarray, targets: np.ndarray) -> None:
        """Computes (1 - weight) * labels + weight * soft targets.

        Args:
            labels: rows and ids of the labels, int [L] each.
            videos: int [B], numbers of videos.
            targets: float32 [B, C], overwritten.

        Raises:
            InputError: a file is damaged.
        """
        soft = self._read(videos)
        targets[:] = 0.0
        weight = np.float32(self.weight)
        rows = np.arange(len(videos))[:, None]
        targets[rows, soft["labels"]] = weight * soft["probabilities"].astype(np.float32)
        targets[labels] += np.float32(1) - weight

    def _read(self, videos: np.ndarray) -> np.ndarray:
        files = self.file[videos]
        video = _video(self.classes)
        content, size, end = bytearray(len(videos) * video.itemsize), video.itemsize, 0
        starts = (videos - self.first[files]) * size
        for file, start in zip(files.tolist(), starts.tolist(), strict=True):
            begin, end = end, end + size
            content[begin:end] = self._open(file)[start : start + size]
        return np.frombuffer(content, video)

    def _open(self, number: int) -> memoryview:
        content = self.files.open(number)
        if number not in self._verified:
            if zlib.crc32(content[: -_TRAILER.size]) != self.checksums[number]:
                raise _unusable(f"{self.paths[number]} is damaged")
            self._verified.add(number)
        return content


def read_soft_targets(
    folder: str, records: Sequence[str], index: VideoIndex, classes: int, weight: float
) -> SoftTargets:
    """Reads and checks the trailers of the soft targets of some files of records.

    Args:
        folder: of the soft targets.
        records: files of the index, in any order.
        index: of them.
        classes: number of labels.
        weight: of the soft targets in 0 ... 0.5, so that what is labelled keeps a target of one half or more.

    Raises:
        InputError: a file is missing, damaged, of another version, or has other videos or labels than the records.
    """
    paths = [soft_targets_path(folder, file) for file in sorted(records)]
    videos = np.bincount(index.file, minlength=len(paths))
    with ThreadPoolExecutor(READ_AT_ONCE) as threads:
        trailers = list(threads.map(read_trailer, paths))
    for path, trailer, expected in zip(paths, trailers, videos.tolist(), strict=True):
        if (trailer.videos, trailer.classes) != (expected, classes):
            found = f"{plural(trailer.videos, 'video')} with {plural(trailer.classes, 'label')}"
            raise _unusable(f"{path} has {found}, the records have {expected:,} with {classes:,}")
    size = _video(classes).itemsize
    return SoftTargets(
        paths=paths,
        files=map_files(paths, [size * trailer.videos + _TRAILER.size for trailer in trailers]),
        checksums=np.array([trailer.checksum for trailer in trailers], np.uint32),
        file=index.file,
        first=np.cumsum(videos) - videos,
        classes=classes,
        weight=weight,
    )


def read_trailer(path: str) -> Trailer:
    """Reads what a file of soft targets says of itself.

    Raises:
        InputError: the file is missing, damaged or of another version.
    """
    try:
        with tf.io.gfile.GFile(path, "rb") as file:
            size = file.size()
            file.seek(max(size - _TRAILER.size, 0))
            content = file.read()
    except tf.errors.OpError as error:
        raise _unusable(f"{path} cannot be read ({reason(error)})") from error
    if len(content) != _TRAILER.size or not content.startswith(_MARK):
        raise _unusable(f"{path} is damaged")
    _, version, *fields = _TRAILER.unpack(content)
    trailer = Trailer(*fields)
    if version != VERSION:
        raise _unusable(f"{path} has soft targets of version {version}, expected {VERSION}")
    if size != (expected := trailer.videos * _video(trailer.classes).itemsize + _TRAILER.size):
        raise _unusable(f"{path} has {plural(size, 'byte')}, expected {expected:,}")
    return trailer


def _video(classes: int) -> np.dtype:
    top = (min(TOP, classes),)
    return np.dtype([("labels", "<u2" if classes <= 2**16 else "<i4", top), ("probabilities", "<f2", top)])


def _unusable(problem: str) -> InputError:
    return InputError(f"{problem}: the step that wrote it must run again")
