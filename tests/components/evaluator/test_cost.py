"""The cost of an evaluation: the same for the last of many videos as for the first, and little for a further slice."""

import time
from dataclasses import replace

import numpy as np
import pytest
from tfx import v1 as tfx  # noqa: F401  (tfma.EvalConfig exists only after this import)

import tensorflow_model_analysis as tfma  # noqa: F401  # isort: skip

from components.evaluator.metrics import BATCH, Accumulator
from models.metrics.outcomes import Outcomes

CLASSES, VIDEOS, PART = 3862, 1024 * BATCH, 4 * BATCH


@pytest.fixture(scope="module")
def batch():
    """Probabilities and labels of 32 videos, float32 [32, 3862]."""
    rng = np.random.default_rng(0)
    labels = rng.random((32, CLASSES)) < 3 / CLASSES
    logits = rng.normal(-7, 1.5, labels.shape) + 6 * labels
    return (1 / (1 + np.exp(-logits))).astype(np.float32), labels.astype(np.float32)


@pytest.fixture(scope="module")
def videos(batch):
    """Outcomes of videos with different ids and scores."""
    outcomes, rng = Outcomes.of(*batch).split(), np.random.default_rng(1)
    return [
        replace(outcomes[number % 32], ids=(b"%05d" % number,), scores=rng.random((1, 20), np.float32))
        for number in range(VIDEOS)
    ]


def cpu_seconds(call, *arguments):
    started = time.thread_time()
    call(*arguments)
    return time.thread_time() - started


def add(accumulator, videos):
    for video in videos:
        accumulator.add(video)


@pytest.fixture(scope="module")
def seconds(videos):
    """The CPU time of adding each part of the videos to one accumulator."""
    accumulator = Accumulator(CLASSES, 0.25)
    return [cpu_seconds(add, accumulator, part) for part in parts(videos)]


def test_the_last_of_many_videos_take_no_more_time_than_the_first(seconds):
    # The fastest of 16 parts each, as other processes slow down some.
    first, last = min(seconds[:16]), min(seconds[-16:])
    assert last < 2 * first, (first, last)


def test_a_further_slice_takes_less_time_than_the_outcomes(batch, seconds):
    # Where every slice computed all from the probabilities, it took three times as long as the outcomes do.
    outcomes = min(cpu_seconds(lambda: Outcomes.of(*batch).split()) for _ in range(20)) / 32
    assert min(seconds) / PART < outcomes, (min(seconds) / PART, outcomes)


def parts(videos):
    return [videos[start : start + PART] for start in range(0, len(videos), PART)]
