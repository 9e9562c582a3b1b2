"""From the bytes of the frame records to features and back."""

import numpy as np
from keras import KerasTensor, ops


def dequantize(codes: KerasTensor) -> KerasTensor:
    """The feature values that codes stand for: `code * 4/255 + 4/512 - 2`.

    Written as `(4 code - 255 (2 - 4/512)) * 1/255`: the bracket is exact in float32, so only one step rounds. TF
    graphs, `tf.data`, XLA and JAX agree bit for bit, whether or not they fuse the multiplication into the subtraction.

    Args:
        codes: uint8 of any shape, a tensor of the backend or of a plain TF graph. Float codes (a mean of codes) are
            accepted too: the mean of dequantized frames is the dequantized mean.

    Returns:
        float32, same shape; -1.9921875 ... 2.0078125 in steps of 4/255. No code stands for exactly 0.

    Example:
        >>> dequantize(np.array([255], np.uint8)).numpy().tolist()
        [2.0078125]
    """
    return (ops.cast(codes, "float32") * 4 - 255 * (2 - 4 / 512)) * (1 / 255)


def quantize(values: np.ndarray) -> np.ndarray:
    """The codes that a YouTube-8M writer stores: `round((clip(x, -2, 2) + 2) * 255/4)`.

    The published decoder adds 4/512, about half a step, so codes survive a round trip and values grow by half a step.

    Args:
        values: float of any shape, no NaN.

    Returns:
        uint8, same shape.

    Example:
        >>> quantize(np.array([-2.0, 0.0, 2.0])).tolist()
        [0, 128, 255]
    """
    return np.round((np.clip(values, -2, 2) + 2) * (255 / 4)).astype(np.uint8)
