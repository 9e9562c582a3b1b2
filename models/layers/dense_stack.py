"""The dense layers between a pooled video and its labels."""

from collections.abc import Iterator, Sequence

import keras
from keras import KerasTensor


def dense_stack(
    inputs: KerasTensor, hidden_units: Sequence[int], dropout: float, seeds: Iterator[int], name: str
) -> KerasTensor:
    """Dense ReLU layers, each followed by dropout; without layers, the inputs themselves.

    Sections 5.1.1 and 5.2.2 of the thesis.

    Args:
        inputs: float, [batch, features].
        hidden_units: widths of the layers.
        dropout: rate of the dropout after each layer; 0 for none.
        seeds: each layer takes one, each dropout another.
        name: prefix of the layers' names.

    Returns:
        float, [batch, last of `hidden_units`].

    Example:
        >>> dense_stack(keras.Input((8,)), [6, 4], dropout=0.5, seeds=iter(range(4)), name="hidden").shape
        (None, 4)
    """
    hidden = inputs
    for number, units in enumerate(hidden_units, start=1):
        kernel = keras.initializers.GlorotUniform(seed=next(seeds))
        dense = keras.layers.Dense(units, activation="relu", kernel_initializer=kernel, name=f"{name}_{number}")
        hidden = dense(hidden)
        if dropout:
            hidden = keras.layers.Dropout(dropout, seed=next(seeds), name=f"{name}_{number}_dropout")(hidden)
    return hidden
