"""Batches on their way to the step: left out where they are not full, and the time that the step waits."""

import time
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from models.training.placement import PlacedBatches


class SlowBatches:
    """Two batches of three videos and one of one, each of which takes a tenth of a second."""

    def __init__(self) -> None:
        self.read = 0

    def __iter__(self) -> Iterator[Any]:
        for videos in (3, 3, 1):
            time.sleep(0.1)
            self.read += 1
            yield {"mean": tf.zeros((videos, 2))}, tf.zeros((videos, 4))


def test_the_wait_for_each_batch_is_measured() -> None:
    batches = PlacedBatches(SlowBatches(), tf.distribute.get_strategy())
    waits = []
    for _ in batches:
        waits.append(batches.waited)
        time.sleep(0.3)  # a step: not part of the wait
    assert len(waits) == 3 and all(0.1 <= wait < 0.3 for wait in waits)


def test_batches_that_are_not_full_are_left_out_on_request() -> None:
    strategy = tf.distribute.get_strategy()
    assert [len(labels) for _, labels in PlacedBatches(SlowBatches(), strategy)] == [3, 3, 1]
    assert [len(labels) for _, labels in PlacedBatches(SlowBatches(), strategy, full=3)] == [3, 3]


def test_nothing_is_read_before_a_step_asks_for_it_where_the_step_runs_on_the_host() -> None:
    batches = SlowBatches()
    placed = iter(PlacedBatches(batches, tf.distribute.get_strategy()))
    assert batches.read == 0
    next(placed)
    assert batches.read == 1
