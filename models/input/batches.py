"""What a training needs of its batches; a tf.data.Dataset has it."""

from collections.abc import Iterator
from typing import Any, Protocol, Self

import tensorflow as tf

Batch = dict[str, tf.Tensor]


class Batches(Protocol):
    """The (inputs, labels) batches of an epoch, each time in the same order."""

    @property
    def element_spec(self) -> Any:
        """Shapes and types of a batch, without its number of videos."""

    def __len__(self) -> int:
        """Number of batches."""

    def skip(self, count: int) -> Self:
        """The batches that are left after the first ones."""

    def take(self, count: int) -> Self:
        """The first batches; all of them for -1."""

    def __iter__(self) -> Iterator[Any]:
        """The batches."""
