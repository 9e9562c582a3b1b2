"""Writes synthetic YouTube-8M: learnable videos in the exact wire format, for demos, tests and measurements."""

import csv
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from string import ascii_lowercase, ascii_uppercase, digits
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import InputError
from models.features import Level
from models.settings import MAX_SEED
from pipeline.files.new_folder import locked, new_files

MIN_VIDEOS = 10

# Far more than YouTube-8M's 3862, and few enough for any machine's memory.
MAX_LABELS = 100_000

# At least one file for each of the train and validate parts: every split policy needs both.
MIN_SHARDS = 2
DEFAULT_SHARDS = 10

# The published frame-level files hold about 1000 videos (3.9 million in 3,844 files).
VIDEOS_A_SHARD = 1000

# Shares of the published parts, so that the thesis' splits find a train and a validate part.
TRAIN_SHARE = 0.8

# Mean size of a written record; 230 frames of 1152 bytes and their field headers, or 1152 floats.
RECORD_BYTES: dict[Level, int] = {"frame": 269_000, "video": 4_700}

ID_CHARACTERS = ascii_lowercase + ascii_uppercase + digits
IDS = len(ID_CHARACTERS) ** 4

VOCABULARY, ORACLE = "vocabulary.csv", "oracle.json"
VOCABULARY_COLUMNS = (
    "Index",
    "TrainVideoCount",
    "KnowledgeGraphId",
    "Name",
    "WikiUrl",
    "Vertical1",
    "Vertical2",
    "Vertical3",
    "WikiDescription",
)


def write_dataset(
    out: Path,
    level: Level,
    videos: int,
    labels: int,
    seed: int,
    shards: int | None = None,
    progress: Callable[[int], None] | None = None,
    segments: bool = False,
) -> bool:
    """Writes synthetic TFRecord shards, `vocabulary.csv` and `oracle.json` into a new folder.

    The first 80 % of the shards are named train0000.tfrecord and so on, the others validate0000.tfrecord. A video
    depends only on the seed and its number, not on the number of shards or videos, and the means of the video level are
    those of the frames at the frame level. Different seeds draw different videos (and ids) of the same labels. Equal
    calls write equal bytes on one machine. Memory does not grow with `videos`. `TrainVideoCount` counts the videos of
    the train shards. `oracle.json` holds the micro F1 of `synthetic_videos.Oracle` over all videos, on their frames at
    either level. With `segments` all videos have ratings: they are other videos, of the same labels, and `oracle.json`
    also holds the MAP@K of `synthetic_segments.SegmentOracle`. The files get their names when all are complete; a call
    that was killed starts over.

    Args:
        out: folder to create; it may exist if it is empty, unfinished, or holds this very data set.
        level: what a record holds: "frame" (all frames) or "video" (their mean).
        videos: number of videos, 10 to 62^4 (as many ids of four characters as there are).
        labels: number of labels, 2 to 100,000.
        seed: 0 to 2^32 - 2.
        shards: number of files, 2 to `videos`; by default 10, more for more than 10,000 videos.
        progress: called after each video with the number of videos written so far.
        segments: whether records have rated segments, at the frame level.

    Returns:
        Whether the data set was written; False if it was there.

    Raises:
        InputError: a number is out of range, the folder is not empty, cannot be made or is in use, or the disk is too
            small.
        OSError: a write failed.
    """
    if shards is None:
        shards = max(DEFAULT_SHARDS, -(-videos // VIDEOS_A_SHARD))
    _check_numbers(videos, labels, seed, shards)
    if segments and level != "frame":
        raise InputError(f"level is {level}, allowed with segments: frame, for a rating is about five frames")
    train_shards = min(shards - 1, max(1, round(TRAIN_SHARE * shards)))
    names = [f"train{shard:04d}.tfrecord" for shard in range(train_shards)]
    names += [f"validate{shard:04d}.tfrecord" for shard in range(shards - train_shards)]
    description = {"level": level, "videos": videos, "labels": labels, "seed": seed, "shards": shards}
    if segments:
        description["segments"] = True
    with locked(out):
        if _holds(out, description, names):
            return False
        with new_files(out, videos * RECORD_BYTES[level]) as place:
            _write_files(place, description, names, progress, segments)
    return True


def _write_files(
    place: Callable[[str], Path],
    description: dict[str, Any],
    names: list[str],
    progress: Callable[[int], None] | None,
    segments: bool,
) -> None:
    # TensorFlow and Keras take seconds to import: only after the arguments have been checked.
    import tensorflow as tf

    from models.metrics.map_at_k import MapAtK
    from pipeline.data.synthetic_records import serialize
    from pipeline.data.synthetic_segments import RATED_VIDEOS, SEGMENT_PARAMETERS, Rating, SegmentOracle, rate
    from pipeline.data.synthetic_videos import PARAMETERS, Oracle, World

    videos, labels, seed, shards = (description[key] for key in ("videos", "labels", "seed", "shards"))
    world = World(labels, RATED_VIDEOS if segments else PARAMETERS)
    oracle = Oracle(world)
    segment_oracle, ranked = SegmentOracle(oracle), MapAtK(labels)
    train_counts = np.zeros(labels, np.int64)
    hits = true = predicted = 0
    for shard, name in enumerate(names):
        try:
            with tf.io.TFRecordWriter(str(place(name))) as writer:
                for index in range(shard * videos // shards, (shard + 1) * videos // shards):
                    video = world.draw(seed, index)
                    ratings: list[Rating] = []
                    if segments:
                        ratings = rate(world, video, seed, index)
                        holds, rated = (np.array([getattr(r, key) for r in ratings]) for key in ("holds", "label"))
                        ranked.add(segment_oracle.scores(video, ratings), holds, rated)
                    writer.write(serialize(_video_id(seed, index), video, ratings, description["level"]))
                    train_counts[video.labels] += name.startswith("train")
                    answer = oracle.labels(video)
                    hits += len(np.intersect1d(answer, video.labels, assume_unique=True))
                    true += len(video.labels)
                    predicted += len(answer)
                    if progress:
                        progress(index + 1)
        except tf.errors.OpError as error:
            raise OSError(None, error.message.rpartition("; ")[2]) from None

    _write_vocabulary(place(VOCABULARY), world.group_of_label, train_counts)
    oracle_json = {
        "synthetic": True,
        **description,
        "labels_per_video": true / videos,
        "oracle": {
            "micro_f1": 2 * hits / (true + predicted),
            "precision": hits / predicted,
            "recall": hits / true,
            "threshold": 0.5,
            "videos": videos,
            "knows": "label prototypes, label rates and groups, deviations, share of background, where runs begin "
            "and end; sees all frames, at the video level too; is not told what a run shows",
        },
        "parameters": asdict(world.parameters),
    }
    if segments:
        oracle_json["ratings"] = {
            "number": int(ranked.ratings.sum()),
            "positives": int(ranked.positives.sum()),
            "oracle": ranked.means(),
            "parameters": asdict(SEGMENT_PARAMETERS),
        }
    place(ORACLE).write_text(json.dumps(oracle_json, indent=2) + "\n", encoding="utf-8")


def _holds(out: Path, description: dict[str, Any], names: list[str]) -> bool:
    """Whether a folder holds the complete data set of the description."""
    try:
        written = json.loads((out / ORACLE).read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return (
        isinstance(written, dict)
        and written == written | description
        and ("segments" in written) == ("segments" in description)
        and all((out / name).exists() for name in [VOCABULARY, *names])
    )


def _check_numbers(videos: int, labels: int, seed: int, shards: int) -> None:
    if not MIN_VIDEOS <= videos <= IDS:
        raise InputError(f"videos is {videos}, allowed are {MIN_VIDEOS} to {IDS}")
    if not 2 <= labels <= MAX_LABELS:
        raise InputError(f"labels is {labels}, allowed are 2 to {MAX_LABELS}")
    if not 0 <= seed <= MAX_SEED:
        raise InputError(f"seed is {seed}, allowed are 0 to {MAX_SEED}")
    if not MIN_SHARDS <= shards <= videos:
        raise InputError(f"shards is {shards}, allowed are {MIN_SHARDS} to {videos}, the number of videos")


def _video_id(seed: int, index: int) -> str:
    """Four characters, unique in a dataset.

    The ids of a seed start at a random number and advance by a prime coprime to 62: two seeds rarely share ids (with
    10,000 videos each, 1 pair of seeds in 700 does), so their datasets can be joined.
    """
    start = int(np.random.Generator(np.random.SFC64(seed)).integers(IDS))
    number = (start + index * 9_999_991) % IDS
    characters = ""
    for _ in range(4):
        number, position = divmod(number, len(ID_CHARACTERS))
        characters = ID_CHARACTERS[position] + characters
    return characters


def _write_vocabulary(path: Path, groups: NDArray[np.int64], train_counts: NDArray[np.int64]) -> None:
    """Writes the columns of the published vocabulary in its order, frequent labels first."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, VOCABULARY_COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        for index in np.argsort(-train_counts, kind="stable"):
            writer.writerow(
                {
                    "Index": index,
                    "TrainVideoCount": train_counts[index],
                    "KnowledgeGraphId": f"/synthetic/{index}",
                    "Name": f"Synthetic label {index}",
                    "Vertical1": f"Synthetic vertical {groups[index]}",
                }
            )
