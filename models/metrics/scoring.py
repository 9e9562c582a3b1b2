"""The metrics of a model on a data set."""

from functools import partial

import keras
import tensorflow as tf

from models.input.batches import Batches
from models.metrics.video_metrics import VideoMetrics


def score(model: keras.Model, batches: Batches, rated: bool = False) -> VideoMetrics:
    """The metrics of a model's probabilities.

    Args:
        model: maps a batch of inputs to probabilities [B, C].
        batches: (inputs, labels) batches, each video once.
        rated: whether these are rated segments, whose labels are below 0 where they are unknown.

    Returns:
        The counts of all videos; their `scores` are the metrics.

    Example:
        >>> inputs = keras.Input((2,))
        >>> model = keras.Model(inputs, keras.layers.Activation("sigmoid")(inputs))
        >>> batches = tf.data.Dataset.from_tensors(([[3.0, -3.0]], [[1.0, 0.0]]))
        >>> score(model, batches).scores()["f1"]
        1.0
    """
    predict = tf.function(partial(model, training=False), reduce_retracing=True, autograph=False)
    metrics = VideoMetrics(model.output_shape[-1], rated=rated)
    for inputs, labels in batches:
        metrics.update(predict(inputs).numpy(), labels.numpy())
    return metrics
