"""Time and memory of ranking ten million predicted segments: for a submission, and for MAP@K.

    python benchmarks/ranked_segments.py [--segments 10000000] [--labels 1000]

A submission keeps the 100,000 best segments of each label: every segment has a score for every label, a video has 60
segments. MAP@K ranks as many segments with a rating each. Scores are random. The time to draw them is listed apart.
"""

import argparse
import time

import numpy as np
from measuring import count, measured, table

from models.metrics.map_at_k import MapAtK
from pipeline.prediction.best_segments import BestSegments

SEGMENTS_A_VIDEO = 60
RATINGS_AT_ONCE = 10_000


def main() -> None:
    """Prints a line for each of the two."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--segments", type=count, default=10_000_000)
    parser.add_argument("--labels", type=count, default=1000)
    arguments = parser.parse_args()
    rows = []
    for name, rank in (("submission", rank_for_a_submission), ("MAP@K", rank_rated)):
        with measured() as usage:
            drawing = rank(arguments.segments, arguments.labels)
        rows.append([name, f"{arguments.segments:,}", f"{arguments.labels:,}", f"{usage.wall - drawing:.0f}"])
        rows[-1] += [f"{drawing:.0f}", f"{usage.memory:,.0f}"]
    print(table(["ranked for", "segments", "labels", "seconds", "seconds of drawing", "peak MB"], rows))


def rank_for_a_submission(segments: int, labels: int) -> float:
    """Keeps the best segments of each label, then reads them all; returns the seconds that drawing scores took."""
    rng, best, drawing = np.random.default_rng(0), BestSegments(labels), 0.0
    starts = list(range(0, 5 * SEGMENTS_A_VIDEO, 5))
    for video in range(segments // SEGMENTS_A_VIDEO):
        started = time.perf_counter()
        scores = rng.random((SEGMENTS_A_VIDEO, labels), np.float32)
        drawing += time.perf_counter() - started
        best.add(b"%08d" % video, starts, scores)
    listed = sum(1 for label in range(labels) for _ in best.of(label))
    assert listed == labels * min(best.most, segments // SEGMENTS_A_VIDEO * SEGMENTS_A_VIDEO)
    return drawing


def rank_rated(segments: int, labels: int) -> float:
    """Computes MAP@K; returns the seconds that drawing scores and ratings took."""
    rng, ranked, drawing = np.random.default_rng(0), MapAtK(labels), 0.0
    for first in range(0, segments, RATINGS_AT_ONCE):
        started = time.perf_counter()
        number = min(RATINGS_AT_ONCE, segments - first)
        holds, rated = rng.random(number) < 0.5, rng.integers(0, labels, number)
        scores = rng.random(number)
        drawing += time.perf_counter() - started
        ranked.add(scores, holds, rated)
    assert 0.4 < ranked.means()["map_at_k"] < 0.6
    return drawing


if __name__ == "__main__":
    main()
