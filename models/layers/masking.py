"""The mask of the real frames in a padded batch, and the maximum over them."""

from keras import KerasTensor, ops


def frame_mask(num_frames: KerasTensor, frames: KerasTensor) -> KerasTensor:
    """Marks the real frames of each video, which come before the padding.

    Args:
        num_frames: int, [batch].
        frames: any dtype, [batch, frames, ...]; only its shape is used.

    Returns:
        bool, [batch, frames].

    Example:
        >>> frame_mask(ops.array([3, 1]), ops.zeros((2, 3, 8))).numpy().tolist()
        [[True, True, True], [True, False, False]]
    """
    return ops.arange(ops.shape(frames)[1])[None, :] < ops.cast(num_frames, "int32")[:, None]


def masked_max(frames: KerasTensor, mask: KerasTensor) -> KerasTensor:
    """Maximum over the real frames of each video.

    Args:
        frames: float, [batch, frames, features].
        mask: bool, [batch, frames]; true for real frames, at least one per video.

    Returns:
        dtype of `frames`, [batch, features]; independent of how far the batch is padded.

    Example:
        >>> masked_max(ops.array([[[1.0], [2.0], [9.0]]]), ops.array([[True, True, False]])).numpy().tolist()
        [[2.0]]
    """
    lowest = ops.cast(float("-inf"), frames.dtype)
    return ops.max(ops.where(mask[..., None], frames, lowest), axis=1)
