"""Which frames of a padded batch are real, and reductions over the real ones."""

from keras import KerasTensor, backend, ops


def frame_mask(num_frames: KerasTensor, frames: KerasTensor) -> KerasTensor:
    """Marks the real frames of each video; a padded batch holds them first.

    Args:
        num_frames: int, [batch].
        frames: any dtype, [batch, frames, ...]; only its shape is used.

    Returns:
        bool, [batch, frames].
    """
    return ops.arange(ops.shape(frames)[1])[None, :] < ops.cast(num_frames, "int32")[:, None]


def masked_mean(frames: KerasTensor, mask: KerasTensor) -> KerasTensor:
    """Mean of the real frames of each video.

    Args:
        frames: float, [batch, frames, features].
        mask: bool, [batch, frames]; true for real frames. At least one a video.

    Returns:
        dtype of `frames`, [batch, features]; independent of how far the batch is padded.
    """
    # Added and counted in float32: bfloat16 holds whole numbers up to 256 only, and a video has up to 300 frames.
    weights = ops.cast(mask, backend.result_type(frames.dtype, "float32"))
    total = ops.einsum("bf,bfd->bd", weights, ops.cast(frames, weights.dtype))
    return ops.cast(total / ops.sum(weights, axis=1, keepdims=True), frames.dtype)


def masked_max(frames: KerasTensor, mask: KerasTensor) -> KerasTensor:
    """Maximum over the real frames of each video.

    Args:
        frames: float, [batch, frames, features].
        mask: bool, [batch, frames]; true for real frames. At least one a video.

    Returns:
        dtype of `frames`, [batch, features]; independent of how far the batch is padded.
    """
    lowest = ops.cast(float("-inf"), frames.dtype)
    return ops.max(ops.where(mask[..., None], frames, lowest), axis=1)
