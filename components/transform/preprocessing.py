"""The TensorFlow Transform graph: from packed records to the features of models and slices."""

from typing import Any

import tensorflow as tf

from models.encoders.average import mean_of_frames
from models.features import (
    AUDIO,
    FRAMES,
    ID,
    LABEL_IDS,
    LABELS,
    MAX_FRAMES,
    MEAN,
    MEAN_AUDIO,
    MEAN_RGB,
    NUM_FRAMES,
    RGB,
)
from models.input.decoding import multi_hot, packed_frames
from models.layers.quantization import dequantize


def preprocessing_fn(inputs: dict[str, Any], custom_config: dict[str, Any]) -> dict[str, Any]:
    """Builds the graph.

    Args:
        inputs: a batch of ExampleGen's features, see the schemas.
        custom_config: `level` and `classes`.

    Returns:
        `id` string[B], `label_ids` sparse int64, `labels` float32[B, classes], `mean` float32[B, 1152]; at the frame
        level also `num_frames` int64[B], `rgb` and `audio` unchanged (TFT does not accept uint8, so training decodes
        them and dequantizes on the device) and `frames` float32[B, 300, 1152], dequantized, zero after the last frame.
    """
    outputs = {
        ID: inputs[ID],
        LABEL_IDS: inputs[LABELS],
        LABELS: multi_hot(inputs[LABELS], custom_config["classes"]),
    }
    if custom_config["level"] == "video":
        return {**outputs, MEAN: tf.concat([inputs[MEAN_RGB], inputs[MEAN_AUDIO]], axis=-1)}
    codes = packed_frames(inputs[RGB], inputs[AUDIO])
    real = tf.sequence_mask(inputs[NUM_FRAMES], MAX_FRAMES)[..., None]
    return {
        **outputs,
        MEAN: mean_of_frames(codes, inputs[NUM_FRAMES]),
        NUM_FRAMES: inputs[NUM_FRAMES],
        RGB: inputs[RGB],
        AUDIO: inputs[AUDIO],
        FRAMES: tf.where(real, dequantize(codes), 0.0),
    }
