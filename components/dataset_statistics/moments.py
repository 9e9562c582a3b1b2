"""Mean and variance of every feature over frames or over videos; mergeable."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.features import RGB_WIDTH, WIDTH

# Code c stands for c * 4 / 255 + 4 / 512 - 2, see `models.layers.quantization`.
CODE_STEP, CODE_OFFSET = 4 / 255, 4 / 512 - 2


def _int_zeros() -> NDArray[np.int64]:
    return np.zeros(WIDTH, np.int64)


def _float_zeros() -> NDArray[np.float64]:
    return np.zeros(WIDTH, np.float64)


@dataclass
class CodeMoments:
    """Moments of 8-bit codes over frames: sums are integers, so the result is exact however videos are grouped.

    The sum of squares of a dimension fits int64 for 1.4e14 frames, 100,000 times as many as YouTube-8M has.
    """

    count: int = 0
    sums: NDArray[np.int64] = field(default_factory=_int_zeros)
    squares: NDArray[np.int64] = field(default_factory=_int_zeros)

    def add(self, rgb: NDArray[np.uint8], audio: NDArray[np.uint8]) -> None:
        """Counts the frames of a video: uint8 [frames, 1024] and [frames, 128]."""
        self.count += len(rgb)
        for codes, columns in ((rgb, slice(0, RGB_WIDTH)), (audio, slice(RGB_WIDTH, WIDTH))):
            # 255 squared fits uint16, 300 of them fit uint32: 0.12 ms a video; int64 throughout takes five times that.
            self.sums[columns] += codes.sum(axis=0, dtype=np.uint32)
            self.squares[columns] += np.square(codes, dtype=np.uint16).sum(axis=0, dtype=np.uint32)

    def merge(self, other: "CodeMoments") -> None:
        """Adds the frames that `other` counted."""
        self.count += other.count
        self.sums += other.sums
        self.squares += other.squares

    def mean_and_variance(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and variance of the dequantized features, float64 [1152]; all frames, so without Bessel's correction."""
        # Python's integers: n times the sum of squares would not fit int64.
        sums, squares = self.sums.astype(object), self.squares.astype(object)
        mean = (sums / self.count).astype(np.float64)
        variance = ((self.count * squares - sums * sums) / self.count**2).astype(np.float64)
        return mean * CODE_STEP + CODE_OFFSET, variance * CODE_STEP**2


@dataclass
class MeanMoments:
    """Moments of float features over videos, without cancellation (Chan, Golub and LeVeque, 1983)."""

    count: int = 0
    mean: NDArray[np.float64] = field(default_factory=_float_zeros)
    deviations: NDArray[np.float64] = field(default_factory=_float_zeros)

    def add(self, rgb: NDArray[np.float32], audio: NDArray[np.float32]) -> None:
        """Counts a video: float32 [1024] and [128]."""
        features = np.concatenate([rgb, audio]).astype(np.float64)
        self.count += 1
        change = features - self.mean
        self.mean += change / self.count
        self.deviations += change * (features - self.mean)

    def merge(self, other: "MeanMoments") -> None:
        """Adds the videos that `other` counted."""
        if not other.count:
            return
        count = self.count + other.count
        change = other.mean - self.mean
        self.mean = self.mean + change * (other.count / count)
        self.deviations = self.deviations + other.deviations + change**2 * (self.count * other.count / count)
        self.count = count

    def mean_and_variance(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and variance, float64 [1152]; over all videos, so without Bessel's correction."""
        return self.mean, self.deviations / self.count
