"""The median stopping rule of Google Vizier: Golovin et al., KDD 2017.

Vizier takes the median of the other trials' running means; here it is that of their lowest losses, because a trial's
objective is measured at its lowest loss.
"""

import statistics
from collections.abc import Sequence

from models.training.log import TrainingLog

# A trial is not compared with fewer others than this.
MIN_TRIALS_TO_COMPARE = 3


def is_hopeless(log: TrainingLog, others: Sequence[TrainingLog]) -> bool:
    """Whether a trial's lowest validation loss is above the median of the other trials' after as many epochs.

    Args:
        log: of the trial; it has at least one epoch.
        others: logs of the trials that have ended; those with fewer epochs are not compared.
    """
    epochs = len(log.epochs)
    losses = [_lowest_loss(other, epochs) for other in others if len(other.epochs) >= epochs]
    return len(losses) >= MIN_TRIALS_TO_COMPARE and _lowest_loss(log, epochs) > statistics.median(losses)


def _lowest_loss(log: TrainingLog, epochs: int) -> float:
    return min(epoch.val_loss for epoch in log.epochs[:epochs])
