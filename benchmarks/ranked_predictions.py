"""The errors of GAP and mAP with limited memory, by the number of places kept.

    python benchmarks/ranked_predictions.py [--videos 100000]

On synthetic predictions, 20 a video, of labels whose frequency falls with their rank and with scores that are weakly
related to hits. The exact values come from full sorts.
"""

import argparse
import time

import numpy as np

from models.metrics.ranked_predictions import RankedHits, places

CLASSES, TOP = 3862, 20
CAPACITIES = {"GAP": (2**14, 2**15, 2**16, 2**17), "mAP": (2**18, 2**19, 2**20, 2**21)}


def main() -> None:
    """Prints a line for each number of places."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=100_000)
    scores, hits, labels = predictions(parser.parse_args().videos)
    print("| score | places | megabytes | seconds | exact | error |\n|---|---|---|---|---|---|")
    for name, capacities in CAPACITIES.items():
        groups = labels if name == "mAP" else np.zeros_like(labels)
        exact = mean_precision(exact_sums(scores, hits, groups), hits, groups)
        for capacity in capacities:
            started = time.perf_counter()
            measured = mean_precision(ranked_sums(scores, hits, groups, capacity), hits, groups)
            seconds = time.perf_counter() - started
            print(f"| {name} | {capacity:,} | {24e-6 * capacity:.1f} | {seconds:.1f} | {exact:.6f} ", end="")
            print(f"| {abs(measured - exact):.1e} |", flush=True)


def predictions(videos: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, whether they are hits, and labels, [predictions] each."""
    rng = np.random.default_rng(0)
    frequency = 1 / np.arange(1, CLASSES + 1)
    labels = rng.choice(CLASSES, videos * TOP, p=frequency / frequency.sum())
    hits = rng.random(labels.size) < 0.15
    logits = rng.normal(-4, 2, labels.size) + 3 * hits
    return (1 / (1 + np.exp(-logits))).astype(np.float32), hits, labels


def ranked_sums(scores: np.ndarray, hits: np.ndarray, groups: np.ndarray, capacity: int) -> np.ndarray:
    """Sums of precisions by group with `capacity` places; predictions are added 65,536 at a time."""
    ranked = RankedHits(capacity)
    for start in range(0, scores.size, 2**16):
        part = slice(start, start + 2**16)
        keys = (groups[part].astype(np.int64) << 32) + places(scores[part])
        order = np.argsort(keys)
        ranked.count(keys[order], hits[part][order].astype(np.int64))
    return ranked.precision_sums(int(groups.max()) + 1)


def exact_sums(scores: np.ndarray, hits: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Sums of precisions by group, from a full sort."""
    order = np.lexsort((-scores, groups))
    hits, groups = hits[order].astype(np.float64), groups[order]
    starts = np.searchsorted(groups, groups)
    before = np.cumsum(hits) - hits
    precision = (before - before[starts] + 1) / (np.arange(hits.size) - starts + 1)
    return np.bincount(groups, precision * hits)


def mean_precision(sums: np.ndarray, hits: np.ndarray, groups: np.ndarray) -> float:
    """The mean of the average precisions of the groups that have hits."""
    positives = np.bincount(groups, hits, minlength=sums.size)
    return float((sums[positives > 0] / positives[positives > 0]).mean())


if __name__ == "__main__":
    main()
