"""L2 normalization that is numerically safe for zero vectors and in half precision."""

from keras import KerasTensor, backend, ops

# Shorter vectors are divided by this instead of their length, so gradients grow by at most 1e4, which float16 can hold
# (65504). Only residuals of a cluster far from all frames are that short; random frames have a length of 39.
SHORTEST = 1e-4


def l2_normalize(vectors: KerasTensor, axis: int | tuple[int, ...] = -1) -> KerasTensor:
    """Scales vectors to length 1; vectors shorter than 1e-4 stay shorter than 1, zero stays zero.

    Args:
        vectors: float, any shape.
        axis: the axis, or axes, along which a vector lies.

    Returns:
        Same shape; float64 for float64 vectors, else float32, because squares of small numbers underflow in half
        precision.

    Example:
        >>> l2_normalize(ops.array([[0.0, 5.0], [0.0, 0.0]])).numpy().tolist()
        [[0.0, 1.0], [0.0, 0.0]]
    """
    vectors = ops.cast(vectors, backend.result_type(vectors.dtype, "float32"))
    squared_length = ops.sum(ops.square(vectors), axis=axis, keepdims=True)
    return vectors * ops.rsqrt(ops.maximum(squared_length, SHORTEST**2))
