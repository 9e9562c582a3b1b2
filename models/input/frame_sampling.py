"""Sampling of the frames that a training step reads."""

import numpy as np

from models.training_settings import TrainingSettings


def draw_frames(
    num_frames: np.ndarray, generator: np.random.Generator, settings: TrainingSettings
) -> tuple[np.ndarray, np.ndarray]:
    """Draws up to S = `sampled_frames` frames of each video in a batch, independently for each video.

    `frame_sampling` selects the method, for a video of n frames:

    - `random`: S draws with replacement, index floor(U[0, 1) * n) (section 4.3 of the thesis).
    - `window`: min(n, S) consecutive frames from a random one on.
    - `stride`: every k-th frame, k = ceil(n / S), from a random one of the first k on.

    Args:
        num_frames: int [B], at least 1.
        generator: the same state gives the same draws.
        settings: `frame_sampling`, one of the three, and `sampled_frames`.

    Returns:
        Indices of frames, int64 [B, S], and how many of them each video uses, int64 [B]; the rest of a row has no
        meaning.

    Example:
        >>> settings = TrainingSettings(frame_sampling="stride", sampled_frames=5)
        >>> indices, drawn = draw_frames(np.array([30, 3]), np.random.default_rng(0), settings)
        >>> drawn.tolist(), np.diff(indices[0]).tolist()
        ([5, 3], [6, 6, 6, 6])
    """
    count, n = settings.sampled_frames, num_frames.astype(np.int64)[:, None]
    places = np.arange(count)[None, :]
    if settings.frame_sampling == "random":
        # U is below 1 by at least 2**-53, and n has 9 bits: the product rounds to a float below n.
        indices = (generator.random((len(n), count)) * n).astype(np.int64)
        return indices, np.full(len(n), count)
    uniform = generator.random((len(n), 1))
    if settings.frame_sampling == "window":
        drawn = np.minimum(n, count)
        first, step = (uniform * (n - drawn + 1)).astype(np.int64), np.ones_like(n)
    else:
        step = -(-n // count)
        first = (uniform * step).astype(np.int64)
        drawn = -(-(n - first) // step)
    return first + step * places, drawn[:, 0]
