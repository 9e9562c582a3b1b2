"""Batches of videos in a global order, copied once from memory-mapped files into tensors."""

import copy
import hashlib
import math
import os
import weakref
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Self
from weakref import WeakValueDictionary

import numpy as np
import tensorflow as tf

from models.features import (
    AUDIO,
    AUDIO_WIDTH,
    FRAMES,
    LABELS,
    MAX_FRAMES,
    MEAN,
    NUM_FRAMES,
    RGB,
    RGB_WIDTH,
    SEGMENT_FRAMES,
    WIDTH,
)
from models.input.batches import Batch
from models.input.frame_sampling import draw_frames
from models.input.index import VideoIndex
from models.input.soft_targets import SoftTargets
from models.layers.quantization import dequantize
from models.training_settings import TrainingSettings

# Threads that fill batches with all frames, and batches that wait for a step: more would only take memory, 44 MB for
# 128 videos. One thread fills 20,000 videos a second; half of the processor is left to the step.
READERS = min(max((os.cpu_count() or 1) // 2, 1), 8)
WAITING = 2

# Batches of means that a thread reads before it hands them over. One by one they took 0.62 times the CPU time of a raw
# read, in fours 0.50 (the same busy machine), as fewer threads are woken. Each takes 2.6 MB at 128 videos.
TOGETHER = 4

# TensorFlow copies memory that begins elsewhere.
_ALIGNMENT = 64

_RGB_COLUMNS, _AUDIO_COLUMNS = slice(RGB_WIDTH), slice(RGB_WIDTH, WIDTH)


class IndexedBatches:
    """The batches of a data set, in the order of its files or of an epoch.

    Which videos and frames a batch holds depends on the index, the seed and the batch's number alone: not on threads,
    workers, or on the batches that are read before it.

    Args:
        index: of ExampleGen's records for `frames`, or of Transform's for `mean`; or of rated segments in the former,
            whose labels without a rating have the target UNRATED.
        classes: number of labels, C.
        batch_size: videos in a batch of all workers together; the last one may hold fewer.
        sampling: which frames are read; None: all.
        soft_targets: of the index's videos, mixed with their labels; None: labels alone.
        share: the number of this worker and how many there are, which split each batch.
        average: whether the mean of the frames is read in their place, for rated segments.
        readers: threads. None: READERS for all frames, else one, as several would wait for Python's lock after each
            of many small copies: two threads read 30 frames a video in 1.2 times the time of one.
    """

    def __init__(
        self,
        index: VideoIndex,
        classes: int,
        batch_size: int,
        *,
        sampling: TrainingSettings | None = None,
        soft_targets: SoftTargets | None = None,
        share: tuple[int, int] = (0, 1),
        average: bool = False,
        readers: int | None = None,
    ) -> None:
        self._index, self._classes, self._batch_size = index, classes, batch_size
        self._sampling = sampling if sampling and sampling.frame_sampling != "all" else None
        self._soft_targets, self._share, self._average = soft_targets, share, average
        self._readers = readers or (1 if self._sampling or MEAN in index.starts else READERS)
        self._numbers = range(-(-len(index) // batch_size))
        self._buffers, self._seed = _buffers.setdefault(batch_size, _Buffers(batch_size)), 0
        self._groups: list[Sequence[int]] = [[number] for number in np.unique(index.file).tolist()]
        self._order = np.arange(len(index), dtype=np.int32)

    def shuffled(self, seed: str) -> Self:
        """All batches in an order of their own, in the same memory.

        Args:
            seed: of the order and of sampled frames; names the run and epoch.
        """
        epoch = copy.copy(self)
        epoch._seed = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:16], "big")
        generator, file = np.random.default_rng(epoch._seed), self._index.file
        epoch._groups = self._index.files.groups(generator.permutation(np.unique(file)).tolist())
        if len(epoch._groups) == 1:
            epoch._order = generator.permutation(len(file)).astype(np.int32)
        else:
            members = [np.flatnonzero(np.isin(file, group)).astype(np.int32) for group in epoch._groups]
            epoch._order = np.concatenate([generator.permutation(videos) for videos in members])
        return epoch

    def __len__(self) -> int:
        return len(self._numbers)

    @property
    def element_spec(self) -> tuple[dict[str, tf.TensorSpec], tf.TensorSpec]:
        """Shapes and types of a batch, without its number of videos."""
        labels = tf.TensorSpec([None, self._classes], tf.float32)
        if MEAN in self._index.starts or self._average:
            return {MEAN: tf.TensorSpec([None, WIDTH], tf.float32)}, labels
        frames = tf.TensorSpec([None, self._frames_read, WIDTH], tf.uint8)
        return {FRAMES: frames, NUM_FRAMES: tf.TensorSpec([None], tf.int32)}, labels

    def skip(self, count: int) -> Self:
        """The batches that are left after the first ones, which are not read."""
        return self._only(self._numbers[count:])

    def take(self, count: int) -> Self:
        """The first batches; all of them for -1."""
        return self._only(self._numbers[:count] if count >= 0 else self._numbers)

    def _only(self, numbers: range) -> Self:
        some = copy.copy(self)
        some._numbers = numbers
        return some

    def __iter__(self) -> Iterator[tuple[Batch, tf.Tensor]]:
        """Reads ahead in threads."""
        self._index.files.announce(self._groups)
        if self._soft_targets:
            self._soft_targets.files.announce(self._groups)
        with ThreadPoolExecutor(self._readers) as threads:
            ahead: deque[Future[list[tuple[Batch, tf.Tensor]]]] = deque()
            together = TOGETHER if MEAN in self._index.starts else 1
            for first in range(0, len(self._numbers), together):
                ahead.append(threads.submit(self._read_all, self._numbers[first : first + together]))
                if len(ahead) > self._readers + WAITING:
                    yield from ahead.popleft().result()
            while ahead:
                yield from ahead.popleft().result()

    def _read_all(self, numbers: range) -> list[tuple[Batch, tf.Tensor]]:
        return [self.read(number) for number in numbers]

    def read(self, number: int) -> tuple[Batch, tf.Tensor]:
        """One batch; any thread may call it.

        Args:
            number: of the batch in the epoch.

        Returns:
            `mean` float32 [B, 1152], or `frames` uint8 [B, F, 1152], zeros after a video's last frame, and `num_frames`
            int32 [B]; and multi-hot labels, or targets, float32 [B, C].
        """
        batch = self._order[number * self._batch_size : (number + 1) * self._batch_size]
        worker, workers = self._share
        mine = slice(len(batch) * worker // workers, len(batch) * (worker + 1) // workers)
        videos = batch[mine]
        labels = self._targets(videos)
        if MEAN in self._index.starts:
            return {MEAN: _tensor(self._means(videos))}, _tensor(labels)
        num_frames, indices = self._index.frames[batch], None
        if self._sampling:
            # Drawn for the videos of all workers, so that their number changes nothing.
            indices, num_frames = draw_frames(num_frames, np.random.default_rng((self._seed, number)), self._sampling)
        lengths = self._buffers.take(NUM_FRAMES, len(videos), (), np.int32)
        lengths[:] = num_frames[mine]
        frames = self._frames(videos, lengths, indices if indices is None else indices[mine])
        if self._average:
            # As `mean_of_frames` computes it, which takes the videos of an eager batch one by one.
            mean = dequantize(frames.sum(axis=1, dtype=np.float32) / lengths[:, None].astype(np.float32))
            return {MEAN: mean}, _tensor(labels)
        return {FRAMES: _tensor(frames), NUM_FRAMES: _tensor(lengths)}, _tensor(labels)

    def _targets(self, videos: np.ndarray) -> np.ndarray:
        if self._index.values is not None:
            targets = self._buffers.take(LABELS, len(videos), (self._classes,), np.float32)
            self._index.targets(videos, targets)
            return targets
        labels = self._index.labels_of(videos)
        if self._soft_targets is None:
            return self._buffers.multi_hot(len(videos), self._classes, labels)
        targets = self._buffers.take(LABELS, len(videos), (self._classes,), np.float32)
        self._soft_targets.mix(labels, videos, targets)
        return targets

    @property
    def _frames_read(self) -> int:
        if self._index.values is not None:
            return SEGMENT_FRAMES
        return self._sampling.sampled_frames if self._sampling else MAX_FRAMES

    def _means(self, videos: np.ndarray) -> np.ndarray:
        means = self._buffers.take(MEAN, len(videos), (WIDTH,), np.float32)
        # Slices of memoryviews take less time than NumPy's.
        target, size, end = memoryview(means).cast("B"), means.itemsize * WIDTH, 0  # type: ignore[arg-type]
        content = self._index.files.open
        for file, start in self._places(videos, MEAN):
            begin, end = end, end + size
            target[begin:end] = content(file)[start : start + size]
        return means

    def _frames(self, videos: np.ndarray, num_frames: np.ndarray, indices: np.ndarray | None) -> np.ndarray:
        frames = self._buffers.take(FRAMES, len(videos), (self._frames_read, WIDTH), np.uint8)
        stored = self._index.frames[videos].tolist()
        rows = zip(frames, stored, num_frames.tolist(), self._places(videos, RGB, AUDIO), strict=True)
        for row, (target, in_file, drawn, (file, rgb, audio)) in enumerate(rows):
            content = self._index.files.open(file)
            for start, width, columns in ((rgb, RGB_WIDTH, _RGB_COLUMNS), (audio, AUDIO_WIDTH, _AUDIO_COLUMNS)):
                stream = np.frombuffer(content, np.uint8, in_file * width, start).reshape(in_file, width)
                target[:drawn, columns] = stream if indices is None else stream[indices[row, :drawn]]
            target[drawn:] = 0
        return frames

    def _places(self, videos: np.ndarray, *names: str) -> Iterator[tuple[int, ...]]:
        """The file of each video, and in it the places of some features, as Python's numbers."""
        columns = (self._index.file, *(self._index.starts[name] for name in names))
        return zip(*(column[videos].tolist() for column in columns), strict=True)


class _Buffers:
    """Memory of batches, used again once TensorFlow has released it: new pages take a third of the time of a read.

    Args:
        rows: the most of an array.
    """

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._free: dict[tuple[str, tuple[int, ...]], list[tuple[np.ndarray, Any]]] = defaultdict(list)

    def take(self, name: str, rows: int, shape: tuple[int, ...], dtype: type) -> np.ndarray:
        """An array [rows, *shape] with any content; those of a name have one type."""
        whole, _ = self._take(name, shape, dtype)
        array = whole[:rows]
        weakref.finalize(array, self._free[name, shape].append, (whole, None)).atexit = False
        return array

    def multi_hot(self, rows: int, classes: int, ones: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        """Zeros and ones, float32 [rows, classes]: only the ones of before are cleared, not 15 KB a video."""
        whole, before = self._take(LABELS, (classes,), np.float32)
        if before is None:
            whole[:] = 0.0
        else:
            whole[before] = 0.0
        array = whole[:rows]
        array[ones] = 1.0
        weakref.finalize(array, self._free[LABELS, (classes,)].append, (whole, ones)).atexit = False
        return array

    def _take(self, name: str, shape: tuple[int, ...], dtype: type) -> tuple[np.ndarray, Any]:
        try:
            return self._free[name, shape].pop()
        except IndexError:
            size = self._rows * math.prod(shape) * np.dtype(dtype).itemsize
            memory = np.empty(size + _ALIGNMENT, np.uint8)
            begin = -memory.ctypes.data % _ALIGNMENT
            return memory[begin : begin + size].view(dtype).reshape(self._rows, *shape), None


# By the size of a batch: training and validation, which take turns, share it.
_buffers: WeakValueDictionary[int, _Buffers] = WeakValueDictionary()


def _tensor(array: np.ndarray) -> tf.Tensor:
    """A tensor in the memory of the array, which nobody else may write to."""
    return tf.experimental.dlpack.from_dlpack(array.__dlpack__())
