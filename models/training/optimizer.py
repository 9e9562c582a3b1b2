"""Adam with the recipe's learning rate and clipping, equal on one device and on several."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from models.training_settings import TrainingSettings


class _WholeBatchGradients:
    """Sums the gradients of all replicas before they are clipped or checked.

    Keras sums them last: it clips the gradients of each replica, so that two replicas may move a weight by twice
    `clipvalue`, and it skips a step that overflows in float16 only if the first replica's gradients did.
    """

    def apply(self, grads: Sequence[tf.Tensor], trainable_variables: Any = None) -> None:
        """Applies the mean over replicas: Keras still sums it, once for each replica."""
        grads = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, list(grads))
        super().apply(grads, trainable_variables)  # type: ignore[misc]


@keras.saving.register_keras_serializable("yt8m")
class MirroredAdam(_WholeBatchGradients, keras.optimizers.Adam):
    """Adam (equations 2 to 6 of the thesis, section 3.3.1) on the gradients of the whole batch."""


@keras.saving.register_keras_serializable("yt8m")
class MirroredLossScaleOptimizer(_WholeBatchGradients, keras.optimizers.LossScaleOptimizer):
    """Scales the loss of float16 models; checks and unscales the gradients of the whole batch."""


def build_optimizer(settings: TrainingSettings, replicas: int, epoch_steps: int) -> keras.optimizers.Optimizer:
    """Builds Adam; under mixed_float16 with a scaled loss, whose gradients are unscaled before they are clipped.

    Sections 3.3.1, 5.1.2 (decay of the learning rate) and 5.2.4 (clipping) of the thesis.

    Args:
        settings: learning rate and its schedule, `clipvalue` or `clipnorm`, epsilon, precision.
        replicas: number of replicas of the strategy in whose scope this is called.
        epoch_steps: number of steps in an epoch.
    """
    scaled = settings.precision == "mixed_float16"
    clips = settings.clipvalue or settings.clipnorm
    joins = replicas > 1 and (scaled or clips)  # costs a second all-reduce
    adam = MirroredAdam if joins and not scaled else keras.optimizers.Adam
    optimizer = adam(
        _learning_rate(settings, epoch_steps),
        epsilon=settings.epsilon,
        # The limit holds for the sum over replicas; what is clipped is their mean.
        clipvalue=settings.clipvalue and settings.clipvalue / replicas,
        clipnorm=settings.clipnorm and settings.clipnorm / replicas,
    )
    if not scaled:
        return optimizer
    return (MirroredLossScaleOptimizer if joins else keras.optimizers.LossScaleOptimizer)(optimizer)


def _learning_rate(
    settings: TrainingSettings, epoch_steps: int
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    if settings.schedule == "cosine":
        return keras.optimizers.schedules.CosineDecay(settings.learning_rate, settings.max_epochs * max(epoch_steps, 1))
    if settings.decay_rate == 1:
        return settings.learning_rate
    return keras.optimizers.schedules.ExponentialDecay(
        settings.learning_rate,
        decay_steps=math.ceil(settings.decay_samples / settings.batch_size),
        decay_rate=settings.decay_rate,
        staircase=True,
    )
