"""Counts raw shards without a pipeline of TFX: in processes of this machine, or in the workers of an engine."""

import hashlib
import os
import pickle
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from threading import Thread
from typing import BinaryIO

import apache_beam as beam
import numpy as np
from apache_beam.io.filesystems import FileSystems
from numpy.typing import NDArray

from components.dataset_statistics.counts import SplitCounts
from components.example_gen.ingest import RejectedRecord, Shard, Summary, read_shard, repeated
from components.example_gen.splits import SPLITS, SplitPolicy
from components.publishing import scratch_folder, write_whole
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


Count = Callable[[Shard], ShardCounts]


def counted_here(shards: Sequence[Shard], count: Count) -> Iterator[ShardCounts]:
    """The counts of each shard, in order, on all processors of this machine."""
    processes = len(os.sched_getaffinity(0))
    # Forked, so that TensorFlow is not imported in each process. This process counts too, one in `processes` shards.
    with ProcessPoolExecutor(max(processes - 1, 1), get_context("fork"), _end_with_parent) as pool:
        elsewhere = pool.map(count, [shard for number, shard in enumerate(shards) if number % processes])
        for number, shard in enumerate(shards):
            yield next(elsewhere) if number % processes else count(shard)


def counted_by_beam(
    shards: Sequence[Shard], count: Count, arguments: Sequence[str], folder: str
) -> Iterator[ShardCounts]:
    """The counts of each shard, in order, by a Beam pipeline.

    Args:
        shards: to count.
        count: what counts one of them.
        arguments: of the pipeline.
        folder: in which workers write files of counts for this process; removed at the end.
    """
    with scratch_folder(folder) as scratch:
        with beam.Pipeline(argv=list(arguments)) as pipeline:
            numbered = pipeline | beam.Create(list(enumerate(shards))) | beam.Reshuffle()
            numbered | beam.Map(_count_into_file, count, scratch)
        for number in range(len(shards)):
            with FileSystems.open(_counts_file(scratch, number)) as file:
                yield pickle.load(file)


def _count_into_file(numbered: tuple[int, Shard], count: Count, folder: str) -> None:
    number, shard = numbered
    write_whole(_counts_file(folder, number), pickle.dumps(count(shard)))


def _counts_file(folder: str, number: int) -> str:
    return f"{folder}/counts-{number:05d}"


def count_shards(
    shards: Sequence[Shard],
    policy: SplitPolicy,
    level: Level,
    classes: int,
    rejected_records: BinaryIO,
    rejected_ratings: BinaryIO,
    progress: Callable[[int], None],
    counted: Callable[[Sequence[Shard], Count], Iterator[ShardCounts]] = counted_here,
) -> tuple[dict[str, SplitCounts], Summary]:
    """Counts all shards.

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
        counted: counts each shard.

    Returns:
        Counts of all splits, and the summary that ExampleGen would write.
    """
    splits: dict[str, SplitCounts] = {split: SplitCounts(level, classes) for split in SPLITS}
    summary, ids = Summary(), []
    count = partial(count_shard, policy=policy, level=level, classes=classes)
    # Shards are merged in their order: sums of floats are the same in every run.
    for shard, own in zip(shards, counted(shards, count), strict=True):
        for split, counts in own.splits.items():
            splits[split].merge(counts)
        summary.merge(own.summary)
        ids.append(own.ids)
        rejected_records.writelines(record.line for record in own.rejected)
        rejected_ratings.writelines(own.rejected_ratings)
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
