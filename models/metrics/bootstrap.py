"""Poisson bootstrap: how much a score depends on which videos happen to be in the data set."""

import hashlib
from collections.abc import Sequence
from math import e, factorial

import numpy as np

# The ends of an interval then vary by a twentieth of its width between sets of replicates.
REPLICATES = 200

CONFIDENCE = 0.95

# Draws are cut at 7, which a Poisson variable of mean 1 exceeds once in 98,000 draws.
_BOUNDS = (np.cumsum([1 / (e * factorial(draws)) for draws in range(7)]) * 2.0**64).astype(np.uint64)

# SplitMix64 (Steele, Lea, Flood, doi 10.1145/2714064.2660195): the step between states, and the two mixers.
_STEP, _MIXERS = np.uint64(0x9E3779B97F4A7C15), (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_SHIFTS = (np.uint64(30), np.uint64(27), np.uint64(31))


def poisson_weights(ids: Sequence[bytes], replicates: int = REPLICATES) -> np.ndarray:
    """How often each replicate draws each video: independent Poisson variables with mean 1.

    The Poisson bootstrap of Chamandy et al., Estimating Uncertainty for Massive Data Streams, Google 2012. Draws depend
    on the id alone: not on how videos are distributed among workers, and not on the model, so two models are compared
    on the same draws.

    Args:
        ids: of the videos.
        replicates: number of replicates.

    Returns:
        float32, [ids, replicates]; whole numbers up to 7.

    Example:
        >>> poisson_weights([b"abcd", b"efgh"], replicates=3).shape
        (2, 3)
    """
    digests = b"".join(hashlib.blake2b(video_id, digest_size=8).digest() for video_id in ids)
    seeds = np.frombuffer(digests, np.uint64)[:, None]
    with np.errstate(over="ignore"):  # arithmetic modulo 2^64 is intended
        state = seeds + _STEP * np.arange(1, replicates + 1, dtype=np.uint64)
        for shift, mixer in zip(_SHIFTS, _MIXERS, strict=False):
            state = (state ^ (state >> shift)) * mixer
    state ^= state >> _SHIFTS[2]
    return np.searchsorted(_BOUNDS, state, side="right").astype(np.float32)


def interval(replicates: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of a score, from its replicates: their percentiles 2.5 and 97.5.

    Example:
        >>> low, high = interval(np.arange(201))
        >>> round(low, 3), round(high, 3)
        (5.0, 195.0)
    """
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(replicates, [tail, 1 - tail])
    return float(low), float(high)
