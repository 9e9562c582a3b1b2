"""L2 normalization that is safe in every precision and at zero vectors."""

from keras import KerasTensor, backend, ops

# Shorter vectors are divided by this instead of by their length, so gradients grow by 1e4 at most, which a float16
# holds (65504). Only the residuals of a cluster that no frame is near are as short; random frames have a length of 39.
SHORTEST = 1e-4


def l2_normalize(vectors: KerasTensor, axis: int | tuple[int, ...] = -1) -> KerasTensor:
    """Scales vectors to length 1; vectors shorter than `SHORTEST` stay shorter than 1, zero stays zero.

    Args:
        vectors: float, any shape.
        axis: the axis, or axes, along which a vector lies.

    Returns:
        float32 (float64 for float64 vectors), same shape: squares of small numbers are lost in half precision.

    Example:
        >>> l2_normalize(ops.array([[0.0, 5.0], [0.0, 0.0]])).numpy().tolist()
        [[0.0, 1.0], [0.0, 0.0]]
    """
    vectors = ops.cast(vectors, backend.result_type(vectors.dtype, "float32"))
    squared_length = ops.sum(ops.square(vectors), axis=axis, keepdims=True)
    return vectors * ops.rsqrt(ops.maximum(squared_length, SHORTEST**2))
