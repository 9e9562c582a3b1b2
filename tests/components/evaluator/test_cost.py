"""The cost of an evaluation: the same for the last of many videos as for the first, and little for a further slice."""

import sys
import time
from itertools import pairwise

import numpy as np
import pytest
from tfx import v1 as tfx  # noqa: F401  (tfma.EvalConfig exists only after this import)

import tensorflow_model_analysis as tfma  # noqa: F401  # isort: skip

from components.evaluator.metrics import BATCH, Accumulator
from models.metrics.outcomes import Outcomes

CLASSES, VIDEOS = 3862, 64 * BATCH


@pytest.fixture(scope="module")
def batch():
    """Probabilities and labels of 32 videos, float32 [32, 3862]."""
    rng = np.random.default_rng(0)
    labels = rng.random((32, CLASSES)) < 3 / CLASSES
    logits = rng.normal(-7, 1.5, labels.shape) + 6 * labels
    return (1 / (1 + np.exp(-logits))).astype(np.float32), labels.astype(np.float32)


@pytest.fixture(scope="module")
def videos(batch):
    """Outcomes of videos with different ids."""
    outcomes = Outcomes.of(*batch).split()
    return [outcomes[number % 32]._replace(ids=(b"%05d" % number,)) for number in range(VIDEOS)]


def cpu_seconds(call, *arguments):
    started = time.thread_time()
    call(*arguments)
    return time.thread_time() - started


def calls(call, *arguments):
    """How many functions are called, written in Python and in C."""
    count = 0

    def observe(frame, event, argument):
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(observe)
    try:
        call(*arguments)
    finally:
        sys.setprofile(None)
    return count


def add(accumulator, videos):
    for video in videos:
        accumulator.add(video)


def test_the_last_of_many_videos_take_no_more_time_than_the_first(videos):
    # The fastest of some parts: other processes slow down single ones. In 16,384 videos, a cost that grows with their
    # number would be sixteen times as high in the last 1,024 as in the first, on average.
    accumulator = Accumulator(CLASSES)
    rounds = [[cpu_seconds(add, accumulator, part) for part in parts(videos, 16)] for _ in range(16)]
    first, last = min(rounds[0] + rounds[1]), min(rounds[-2] + rounds[-1])
    assert last < 2 * first, (first, last)


def test_the_last_of_many_videos_call_no_more_functions_than_the_first(videos):
    accumulator = Accumulator(CLASSES)
    rounds = [calls(add, accumulator, videos) for _ in range(6)]
    assert max(rounds[1:]) < 1.05 * rounds[0], rounds  # the first videos are all among the sample and the worst


def test_a_further_slice_takes_less_time_than_the_outcomes(batch, videos):
    # Before outcomes were shared, a slice took as long as all computations of a video.
    outcomes = min(cpu_seconds(lambda: Outcomes.of(*batch).split()) for _ in range(20)) / 32
    counting = min(cpu_seconds(add, Accumulator(CLASSES), part) / len(part) for part in parts(videos, 8))
    assert counting < 1.5 * outcomes, (counting, outcomes)


def parts(videos, count):
    ends = range(0, VIDEOS + 1, VIDEOS // count)
    return [videos[start:end] for start, end in pairwise(ends)]
