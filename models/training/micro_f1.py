"""Micro-averaged F1, the score of the thesis."""

from typing import Any

import keras
from keras import KerasTensor, ops


@keras.saving.register_keras_serializable("yt8m")
class MicroF1(keras.metrics.F1Score):
    """2 TP / (2 TP + FP + FN) over all (video, label) pairs so far; those with a probability above 0.5 are predicted.

    Equation 9 of the thesis, section 3.4.3. 0 while nothing is labelled or predicted.

    Args:
        from_logits: whether predictions are logits; those above 0 are predicted, which are the same pairs.
        name: of the metric.
        dtype: of the counts.

    Example:
        >>> metric = MicroF1()
        >>> metric.update_state(ops.array([[1, 0]]), ops.array([[0.9, 0.8]]))
        >>> round(float(metric.result()), 3)
        0.667
    """

    def __init__(self, from_logits: bool = False, name: str = "micro_f1", dtype: Any = None) -> None:
        super().__init__(average="micro", threshold=0.5, name=name, dtype=dtype)
        self.from_logits = from_logits

    def update_state(self, y_true: KerasTensor, y_pred: KerasTensor, sample_weight: KerasTensor | None = None) -> None:
        """Counts the pairs of a batch.

        Args:
            y_true: 0 or 1, or targets between, of which those from one half on are labelled; below 0 for a label that
                is unknown, which does not count; any dtype, [batch, classes].
            y_pred: float, [batch, classes].
            sample_weight: None or float, [batch].
        """
        y_true = ops.cast(y_true, self.dtype)
        if self.from_logits:
            y_pred = ops.cast(ops.convert_to_tensor(y_pred) > 0, self.dtype)
        # Neither labelled nor predicted.
        y_pred = ops.where(y_true < 0, 0.0, ops.cast(y_pred, self.dtype))
        super().update_state(y_true >= 0.5, y_pred, sample_weight)

    def result(self) -> KerasTensor:
        """The score so far.

        Computed from the counts: F1Score's precision and recall have epsilons, which are 0.5 % off at F1 = 1e-5.
        """
        if not self._built:
            return ops.zeros((), self.dtype)
        hits = 2 * self.true_positives
        return ops.divide_no_nan(hits, hits + self.false_positives + self.false_negatives)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"from_logits": self.from_logits, "name": self.name, "dtype": self.dtype}
