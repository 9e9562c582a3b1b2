"""Batches on the devices that compute, where the next one arrives while the step before it runs."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import tensorflow as tf

from models.input.batches import Batches


class PlacedBatches:
    """Batches as a step of a strategy takes them.

    On a GPU the inputs stay bytes until the step: frames of one byte a value, a quarter of what floats would take.

    Args:
        batches: of an epoch; only those that are asked for are read, and one ahead where a device has its own memory.
        strategy: of the step. Several replicas split each batch.
        full: the number of videos of a batch, of which smaller ones are left out; 0 to take all.

    Attributes:
        waited: seconds that the step waited for the batch it has.
    """

    def __init__(self, batches: Batches, strategy: tf.distribute.Strategy, full: int = 0) -> None:
        self._batches, self._strategy, self._full = batches, strategy, full
        self.waited = 0.0

    def __iter__(self) -> Iterator[Any]:
        batches = self._placed()
        while True:
            started = time.monotonic()
            batch = next(batches, None)
            self.waited = time.monotonic() - started
            if batch is None:
                return
            yield batch

    def _placed(self) -> Iterator[Any]:
        batches = iter(self._batches)
        if self._full:
            batches = (batch for batch in batches if len(batch[1]) == self._full)
        elif (replicas := self._strategy.num_replicas_in_sync) > 1:
            batches = _for_all(replicas, batches)
        place = _placement(self._strategy)
        if place is None:
            yield from batches
            return
        placed = map(place, batches)
        with ThreadPoolExecutor(1) as thread:
            ahead = thread.submit(next, placed, None)
            while (batch := ahead.result()) is not None:
                ahead = thread.submit(next, placed, None)
                yield batch


def _for_all(replicas: int, batches: Iterator[Any]) -> Iterator[Any]:
    """The batches, with the last one joined to the one before where it has not a video for each replica.

    The loss of no videos would be NaN.
    """
    held = None
    for batch in batches:
        if held is not None and len(batch[1]) < replicas:
            batch = tf.nest.map_structure(lambda *parts: tf.concat(parts, axis=0), held, batch)
        elif held is not None:
            yield held
        held = batch
    if held is not None:
        yield held


def _placement(strategy: tf.distribute.Strategy) -> Callable[[Any], Any] | None:
    """What brings a batch from the host to the devices of a strategy; None where they use the host's memory."""
    if strategy.num_replicas_in_sync > 1:
        return partial(_split, strategy)
    gpus = tf.config.list_logical_devices("GPU")
    return partial(_copy, gpus[0].name) if gpus else None


def _copy(device: str, batch: Any) -> Any:
    with tf.device(device):
        return tf.nest.map_structure(tf.identity, batch)


def _split(strategy: tf.distribute.Strategy, batch: Any) -> Any:
    def part(context: Any) -> Any:
        replica, replicas = context.replica_id_in_sync_group, context.num_replicas_in_sync

        def rows(values: tf.Tensor) -> tf.Tensor:
            return values[len(values) * replica // replicas : len(values) * (replica + 1) // replicas]

        return _copy(strategy.extended.worker_devices[replica], tf.nest.map_structure(rows, batch))

    return strategy.experimental_distribute_values_from_function(part)
