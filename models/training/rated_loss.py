"""The loss of rated segments, of which most labels are unknown."""

from typing import Any

import keras
from keras import KerasTensor, ops


@keras.saving.register_keras_serializable("yt8m")
class RatedCrossentropy(keras.losses.Loss):
    """The mean binary cross-entropy of the rated labels of each segment; the others have a target below 0.

    Args:
        from_logits: whether predictions are logits.
        name: of the loss.

    Call arguments:
        y_true: float, [batch, classes]; 1, 0, or below 0 for labels without a rating.
        y_pred: float, [batch, classes].

    Example:
        >>> loss = RatedCrossentropy()
        >>> unrated = loss(ops.array([[1.0, -1.0, 0.0]]), ops.array([[0.5, 0.9, 0.5]]))
        >>> round(float(unrated), 4)
        0.6931
    """

    def __init__(self, from_logits: bool = False, name: str = "rated_crossentropy", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.from_logits = from_logits

    def call(self, y_true: KerasTensor, y_pred: KerasTensor) -> KerasTensor:
        """The loss of each segment, [batch]; 0 for one without a rating."""
        y_pred = ops.convert_to_tensor(y_pred)
        rated = ops.cast(y_true >= 0, y_pred.dtype)
        targets = ops.cast(ops.maximum(y_true, 0), y_pred.dtype)
        losses = ops.binary_crossentropy(targets, y_pred, from_logits=self.from_logits)
        return ops.sum(losses * rated, axis=-1) / ops.maximum(ops.sum(rated, axis=-1), 1)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "from_logits": self.from_logits}
