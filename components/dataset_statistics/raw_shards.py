"""Counts raw shards without a pipeline, in parallel processes."""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from threading import Thread
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from components.dataset_statistics.counts import SplitCounts
from components.example_gen.ingest import RejectedRecord, Shard, Summary, read_shard, repeated
from components.example_gen.splits import SPLITS, SplitPolicy
from models.features import Level


@dataclass
class ShardCounts:
    """Counts of a raw shard.

    Attributes:
        splits: counts by the split that videos go to.
        summary: ExampleGen's, without duplicates.
        rejected: all rejected records.
        rejected_ratings: all rejected ratings, a line of JSON each.
        ids: uint64, one for each video: 62 bits of the hash of its id, then 2 of its split's place in SPLITS. Among 6.1
            million videos two share these 62 bits by chance in one of 250,000 data sets.
    """

    splits: dict[str, SplitCounts]
    summary: Summary
    rejected: list[RejectedRecord]
    rejected_ratings: list[bytes]
    ids: NDArray[np.uint64]


def count_shard(shard: Shard, policy: SplitPolicy, level: Level, classes: int) -> ShardCounts:
    """Reads, checks, packs and counts the videos of a raw shard, as ExampleGen would ingest them."""
    splits: dict[str, SplitCounts] = {}
    summary = Summary()
    rejected, rejected_ratings, ids = [], [], []
    for number, video in enumerate(read_shard(shard.file, level, classes)):
        if isinstance(video, RejectedRecord):
            summary.add_rejected(video)
            rejected.append(video)
            continue
        split = shard.split or policy.of_id(video.id)
        if split not in splits:
            splits[split] = SplitCounts(level, classes)
        splits[split].add(video.example)
        summary.add(video, split, shard.file.path, number)
        rejected_ratings += [rating.line(shard.file.path, number) for rating in video.rejected_ratings]
        id_hash = int.from_bytes(hashlib.blake2b(video.id, digest_size=8).digest(), "big")
        ids.append(id_hash & ~3 | SPLITS.index(split))
    return ShardCounts(splits, summary, rejected, rejected_ratings, np.array(ids, np.uint64))


def count_shards(
    shards: Sequence[Shard],
    policy: SplitPolicy,
    level: Level,
    classes: int,
    rejected_records: BinaryIO,
    rejected_ratings: BinaryIO,
    progress: Callable[[int], None],
) -> tuple[dict[str, SplitCounts], Summary]:
    """Counts all shards on all processors.

    Memory grows with the number of labels, and by 8 bytes a video for the ids (49 MB for all of YouTube-8M, three times
    that for a moment at the end).

    Args:
        shards: see `plan_shards`.
        policy: splits by id where a shard has no split.
        level: of the records.
        classes: size of the vocabulary.
        rejected_records: file to which they are written, a line of JSON each: file, record and reason.
        rejected_ratings: file to which they are written, a line of JSON each: file, record, rating and reason.
        progress: called after each shard with its size in bytes.

    Returns:
        Counts of all splits, and the summary that ExampleGen would write.
    """
    splits: dict[str, SplitCounts] = {split: SplitCounts(level, classes) for split in SPLITS}
    summary, ids = Summary(), []
    count = partial(count_shard, policy=policy, level=level, classes=classes)
    processes = len(os.sched_getaffinity(0))
    # Forked, so that TensorFlow is not imported in each process. This process counts too, one in `processes` shards.
    # Shards are merged in their order: sums of floats are the same in every run.
    with ProcessPoolExecutor(max(processes - 1, 1), get_context("fork"), _end_with_parent) as pool:
        elsewhere = pool.map(count, [shard for number, shard in enumerate(shards) if number % processes])
        for number, shard in enumerate(shards):
            counted = next(elsewhere) if number % processes else count(shard)
            for split, counts in counted.splits.items():
                splits[split].merge(counts)
            summary.merge(counted.summary)
            ids.append(counted.ids)
            rejected_records.writelines(record.line for record in counted.rejected)
            rejected_ratings.writelines(counted.rejected_ratings)
            progress(shard.file.size)
    summary.duplicates = dict(Counter(_repeated(np.concatenate(ids))))
    return splits, summary


def _end_with_parent() -> None:
    """Ends this process of a pool when its parent has ended or was killed; else it would wait for work for ever."""
    parent = parent_process()
    assert parent

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    Thread(target=watch, daemon=True).start()


def _repeated(ids: NDArray[np.uint64]) -> Iterator[str]:
    """The splits of each id that occurs more than once, see `repeated`."""
    ids.sort()
    hashes = ids >> np.uint64(2)
    again = np.flatnonzero(hashes[1:] == hashes[:-1])
    for id_hash in np.unique(hashes[again]):
        first, last = np.searchsorted(hashes, id_hash), np.searchsorted(hashes, id_hash, side="right")
        yield from repeated((id_hash, [SPLITS[int(place) & 3] for place in ids[first:last]]))
