"""The median stopping rule on made-up logs."""

from models.training.log import EpochLog, TrainingLog
from tuner.median_stopping import is_hopeless


def log(*losses: float) -> TrainingLog:
    epochs = [EpochLog(number, 1.0, 0.0, loss, 0.0, 1e-3, 4, 1.0) for number, loss in enumerate(losses)]
    return TrainingLog(1, epochs)


OTHERS = [log(0.9, 0.5), log(0.8, 0.2), log(0.7, 0.6), log(0.6)]


def test_a_trial_is_hopeless_above_the_median_of_the_others() -> None:
    assert is_hopeless(log(0.76), OTHERS) and not is_hopeless(log(0.74), OTHERS)


def test_after_two_epochs_three_others_count_each_with_the_lower_of_two_losses() -> None:
    assert is_hopeless(log(0.9, 0.51), OTHERS) and not is_hopeless(log(0.4, 0.9), OTHERS)


def test_no_trial_is_hopeless_among_fewer_than_three_others() -> None:
    assert not is_hopeless(log(9.0), OTHERS[:2])
