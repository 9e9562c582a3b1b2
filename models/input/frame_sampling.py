"""Sampling of the frames that a training step reads."""

import tensorflow as tf

from models.features import FRAMES, NUM_FRAMES
from models.input.batches import Batch
from models.settings import TrainingSettings


def sample_frames(inputs: Batch, seed: tf.Tensor, settings: TrainingSettings) -> Batch:
    """Draws up to S = `sampled_frames` frames of each video in a batch, independently for each video.

    `frame_sampling` selects the method, for a video of n frames:

    - `random`: S draws with replacement, index floor(U[0, 1) * n) (section 4.3 of the thesis).
    - `window`: min(n, S) consecutive frames from a random one on.
    - `stride`: every k-th frame, k = ceil(n / S), from a random one of the first k on.
    - `all`: returns the batch as it is; the only method for inputs that are not frames.

    Args:
        inputs: `frames` uint8 [B, F, 1152] and `num_frames` int [B], 1 .. F.
        seed: int [2]; the same seed gives the same draws.
        settings: `frame_sampling` and `sampled_frames`.

    Returns:
        `frames` uint8 [B, S, 1152], padded with zero bytes, and `num_frames` int32 [B].

    Example:
        >>> inputs = {"frames": tf.ones((2, 30, 1152), tf.uint8), "num_frames": tf.constant([30, 3])}
        >>> settings = TrainingSettings(frame_sampling="stride", sampled_frames=5)
        >>> sample_frames(inputs, tf.constant([0, 0]), settings)["num_frames"].numpy().tolist()
        [5, 3]
    """
    method, count = settings.frame_sampling, settings.sampled_frames
    if method == "all":
        return inputs
    frames, n = inputs[FRAMES], tf.cast(inputs[NUM_FRAMES], tf.int32)[:, None]
    videos, places = tf.shape(frames)[0], tf.range(count)[None, :]
    uniform = tf.random.stateless_uniform([videos, count if method == "random" else 1], seed)

    def below(bound: tf.Tensor) -> tf.Tensor:
        # U is at most 1 - 2^-23, and a product with a bound below 2^23 rounds to a float below the bound.
        return tf.cast(uniform * tf.cast(bound, tf.float32), tf.int32)

    if method == "random":
        indices, drawn = below(n), tf.fill([videos, 1], count)
    elif method == "window":
        drawn = tf.minimum(n, count)
        indices = below(n - drawn + 1) + places
    else:
        step = -(-n // count)
        first = below(step)
        drawn = -(-(n - first) // step)
        indices = first + step * places
    # There is no frame -1, so gather_nd writes zeros there, without another pass over the bytes of the batch.
    indices = tf.where(places < drawn, indices, -1)
    rows = tf.broadcast_to(tf.range(videos)[:, None], tf.shape(indices))
    sampled = tf.gather_nd(frames, tf.stack([rows, indices], axis=-1), bad_indices_policy="IGNORE")
    return inputs | {FRAMES: tf.ensure_shape(sampled, [None, count, frames.shape[2]]), NUM_FRAMES: drawn[:, 0]}
