"""The index beside a file of packed records: where the values of each video lie in it.

With it a video, or any of its frames, is a slice of the memory-mapped file: nothing is parsed.
"""

import io
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from models.errors import InputError, plural, reason
from models.features import AUDIO, AUDIO_WIDTH, RGB, RGB_WIDTH, SEGMENT_FRAMES
from models.input.mapped_files import MappedFiles, map_files

# Beside the folders of the splits: whatever reads a split takes each file in its folder for records.
INDEX_FOLDER = "index"

# Of the format: raised when files of before can no longer be read.
VERSION = 1

# The target of a label that a segment has no rating of: loss and metrics leave the pair out.
UNRATED = -1.0

# Index files read at a time: on an object store each takes a round trip.
READ_AT_ONCE = 32

_STARTS, _RATINGS = "start_", "ratings"

# First frame of the segment, label, and 1 or 0: whether it holds.
Rating = tuple[int, int, float]


def index_path(records: str) -> str:
    """The index of a file of records.

    Example:
        >>> index_path("examples/1/Split-train/data_tfrecord-00000-of-00005")
        'examples/1/index/Split-train/data_tfrecord-00000-of-00005.npz'
    """
    root, split, name = records.rsplit("/", 2)
    return f"{root}/{INDEX_FOLDER}/{split}/{name}.npz"


class IndexBuilder:
    """Collects the index of one file of records while it is written."""

    def __init__(self) -> None:
        self._starts: dict[str, list[int]] = {}
        self._frames: list[int] = []
        self._label_counts: list[int] = []
        self._labels: list[int] = []
        self._ratings: list[tuple[int, int, int, float]] = []

    def add(
        self, starts: Mapping[str, int], frames: int, labels: Sequence[int], ratings: Iterable[Rating] = ()
    ) -> None:
        """Adds the next video of the file.

        Args:
            starts: for `rgb` and `audio`, or `mean`, the place in the file where the bytes begin.
            frames: how many frames `rgb` and `audio` hold; 0 for `mean`.
            labels: ids, each once.
            ratings: first frame of the segment, label and score of each.
        """
        self._ratings += [(len(self._frames), *rating) for rating in ratings]
        for name, start in starts.items():
            self._starts.setdefault(name, []).append(start)
        self._frames.append(frames)
        self._label_counts.append(len(labels))
        self._labels.extend(labels)

    def to_bytes(self, size: int) -> bytes:
        """The content of the index file: arrays as .npz, whose checksums NumPy verifies when it reads them.

        Args:
            size: of the finished file of records, in bytes.
        """
        content = io.BytesIO()
        np.savez(
            content,
            version=np.int64(VERSION),
            size=np.int64(size),
            frames=np.array(self._frames, np.uint16),
            label_counts=np.array(self._label_counts, np.uint32),
            labels=np.array(self._labels, np.int32),
            **{_STARTS + name: np.array(starts) for name, starts in self._starts.items()},  # type: ignore[arg-type]
            **({_RATINGS: np.array(self._ratings, np.int32)} if self._ratings else {}),  # type: ignore[arg-type]
        )
        return content.getvalue()


@dataclass(frozen=True)
class VideoIndex:
    """The index of several files: about 40 bytes a video.

    Attributes:
        files: of records.
        file: int32 [N], the place of each video's file in `files`.
        starts: int64 [N] for `rgb` and `audio`, or for `mean`: the place in the file where the bytes begin.
        frames: uint16 [N], frames of each video; 0 for `mean`.
        label_splits: int64 [N + 1], labels of video v are `labels[label_splits[v] : label_splits[v + 1]]`.
        labels: int32, ids of the labels.
        ratings: int32 [R, 4], of all videos in their order: number of the video, first frame of the segment, label, and
            whether it holds, 1 or 0.
        values: of an index of rated segments, float32, parallel to `labels`: whether each holds, 1 or 0, while other
            labels are unknown. None: `labels` hold, others do not.
    """

    files: MappedFiles
    file: np.ndarray
    starts: Mapping[str, np.ndarray]
    frames: np.ndarray
    label_splits: np.ndarray
    labels: np.ndarray
    ratings: np.ndarray
    values: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.file)

    def labels_of(self, videos: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The labels of some videos.

        Args:
            videos: int [B], numbers of videos.

        Returns:
            Rows (places in `videos`) and ids of all their labels, int [L] each.
        """
        rows, places = self._places_of_labels(videos)
        return rows, self.labels[places]

    def targets(self, videos: np.ndarray, targets: np.ndarray) -> None:
        """Fills in the targets of rated segments: 1 where a label holds, 0 where it does not, UNRATED elsewhere.

        Args:
            videos: int [B], numbers of segments.
            targets: float32 [B, C].
        """
        assert self.values is not None
        rows, places = self._places_of_labels(videos)
        targets[:] = UNRATED
        targets[rows, self.labels[places]] = self.values[places]

    def rated_segments(self) -> "VideoIndex":
        """The index of the segments that have ratings: each is a video of five frames, in the same files."""
        video, start, label, holds = self.ratings.T
        pairs, segment = np.unique(np.stack([video, start], axis=1), axis=0, return_inverse=True)
        order = np.argsort(segment.ravel(), kind="stable")
        videos, first = pairs[:, 0], pairs[:, 1].astype(np.int64)
        widths = {RGB: RGB_WIDTH, AUDIO: AUDIO_WIDTH}
        return VideoIndex(
            files=self.files,
            file=self.file[videos],
            starts={name: self.starts[name][videos] + width * first for name, width in widths.items()},
            frames=np.full(len(videos), SEGMENT_FRAMES, np.uint16),
            label_splits=np.append(0, np.cumsum(np.bincount(segment.ravel(), minlength=len(videos)))),
            labels=label[order],
            ratings=self.ratings[:0],
            values=holds[order].astype(np.float32),
        )

    def _places_of_labels(self, videos: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        first = self.label_splits[videos]
        counts = self.label_splits[videos + 1] - first
        rows = np.repeat(np.arange(len(videos)), counts)
        # Within each video 0, 1, ...: a running number less the number with which the video begins.
        within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        return rows, first[rows] + within


def read_index(files: Sequence[str]) -> VideoIndex:
    """Reads and checks the indexes of files of records.

    Args:
        files: written by ExampleGen or Transform, on any file system that TensorFlow reads.

    Raises:
        InputError: an index is missing, damaged or of another version, or its file has another size.
    """
    files = sorted(files)
    with ThreadPoolExecutor(READ_AT_ONCE) as threads:
        parts = list(threads.map(_read_file, files))
    # Files without videos have no starts.
    names = sorted({name for part in parts for name in part if name.startswith(_STARTS)})
    videos = [len(part["frames"]) for part in parts]

    def joined(name: str, dtype: type) -> np.ndarray:
        return np.concatenate([np.zeros(0, dtype), *(part.pop(name) for part in parts if name in part)])

    splits = np.zeros(sum(videos) + 1, np.int64)
    np.cumsum(joined("label_counts", np.uint32), out=splits[1:])
    return VideoIndex(
        files=map_files(files, [int(part["size"]) for part in parts]),
        file=np.repeat(np.arange(len(files), dtype=np.int32), videos),
        starts={name.removeprefix(_STARTS): joined(name, np.int64) for name in names},
        frames=joined("frames", np.uint16),
        label_splits=splits,
        labels=joined("labels", np.int32),
        ratings=_ratings(parts, videos),
    )


def _ratings(parts: Sequence[dict[str, np.ndarray]], videos: Sequence[int]) -> np.ndarray:
    """The ratings of all files, with the numbers of their videos among those of all files."""
    before = np.cumsum([0, *videos])
    of_files = [
        part[_RATINGS] + np.array([first, 0, 0, 0], np.int32)
        for part, first in zip(parts, before, strict=False)
        if _RATINGS in part
    ]
    return np.concatenate([np.zeros((0, 4), np.int32), *of_files])


def _read_file(records: str) -> dict[str, np.ndarray]:
    path = index_path(records)
    try:
        with tf.io.gfile.GFile(path, "rb") as file, np.load(io.BytesIO(file.read()), allow_pickle=False) as arrays:
            index = dict(arrays)
        version, size = int(index["version"]), int(index["size"])
    except tf.errors.NotFoundError:
        raise _unusable(f"{records} has no index ({path})") from None
    except tf.errors.OpError as error:
        raise _unusable(f"{path} cannot be read ({reason(error)})") from error
    except Exception as error:  # a damaged zip file can raise nearly anything, and NumPy advises to trust it
        raise _unusable(f"{path} is damaged") from error
    if version != VERSION:
        raise _unusable(f"{path} is an index of version {version}, expected {VERSION}")
    if (actual := tf.io.gfile.stat(records).length) != size:
        raise _unusable(f"{records} has {plural(actual, 'byte')}, its index is of a file of {size:,}")
    return index


def _unusable(problem: str) -> InputError:
    return InputError(f"{problem}: the step that wrote it must run again")
