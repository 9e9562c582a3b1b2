"""Conversion between the bytes of frame records (codes) and feature values."""

import numpy as np
from keras import KerasTensor, ops


def dequantize(codes: KerasTensor) -> KerasTensor:
    """The feature values of codes: `code * 4/255 + 4/512 - 2`.

    The function `Dequantize` of YouTube-8M's starter code (google/youtube-8m, utils.py). Computed as `(4 code - 255 (2
    - 4/512)) * (1/255)`: the difference is exact in float32, so only the product rounds, and TF graphs, `tf.data`, XLA
    and JAX agree bit for bit, whether or not they fuse the operations.

    Args:
        codes: uint8 of any shape, a tensor of the backend or of a plain TF graph. A float mean of codes is accepted
            too: dequantized, it is the mean of the dequantized frames.

    Returns:
        float32, same shape; -1.9921875 ... 2.0078125 in steps of 4/255. No code stands for exactly 0.

    Example:
        >>> dequantize(np.array([255], np.uint8)).numpy().tolist()
        [2.0078125]
    """
    return (ops.cast(codes, "float32") * 4 - 255 * (2 - 4 / 512)) * (1 / 255)


def quantize(values: np.ndarray) -> np.ndarray:
    """The codes of feature values, as YouTube-8M stores them: `round((clip(x, -2, 2) + 2) * 255/4)`.

    `dequantize` adds 4/512, about half a step: codes survive a round trip, values return half a step higher on average.

    Args:
        values: float of any shape, no NaN.

    Returns:
        uint8, same shape.

    Example:
        >>> quantize(np.array([-2.0, 0.0, 2.0])).tolist()
        [0, 128, 255]
    """
    return np.round((np.clip(values, -2, 2) + 2) * (255 / 4)).astype(np.uint8)
