"""Synthetic rated segments: the published wire format, labels that come and go, and an oracle that ranks them."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from components.example_gen.packing import pack
from models.errors import InputError
from pipeline.data.synthetic_data import write_dataset
from pipeline.data.synthetic_segments import RATED_VIDEOS, SegmentOracle, labels_that_hold, rate
from pipeline.data.synthetic_videos import Oracle, World

VIDEOS, LABELS, SEED = 60, 12, 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("segments") / "rated"
    write_dataset(folder, "frame", VIDEOS, LABELS, SEED, segments=True)
    return folder


@pytest.fixture(scope="module")
def world() -> World:
    return World(LABELS, RATED_VIDEOS)


def records_of(folder: Path) -> list[bytes]:
    files = sorted(str(file) for file in folder.glob("*.tfrecord"))
    return list(tf.data.TFRecordDataset(files).as_numpy_iterator())


def test_records_have_the_published_form_and_usable_ratings(folder: Path) -> None:
    """As the challenge's starter code parses them."""
    rated = {
        "segment_start_times": tf.int64,
        "segment_end_times": tf.int64,
        "segment_labels": tf.int64,
        "segment_scores": tf.float32,
    }
    context = {name: tf.io.RaggedFeature(kind) for name, kind in rated.items()}
    lists = {name: tf.io.FixedLenSequenceFeature([], tf.string) for name in ("rgb", "audio")}
    features, frames, lengths = tf.io.parse_sequence_example(
        records_of(folder), context | {"id": tf.io.FixedLenFeature([], tf.string)}, lists
    )
    assert set(frames) == {"rgb", "audio"} and set(map(len, features["id"].numpy())) == {4}
    starts, ends = features["segment_start_times"], features["segment_end_times"]
    assert (ends - starts).flat_values.numpy().tolist() == [5] * len(ends.flat_values)
    assert not (starts.flat_values.numpy() % 5).any()
    assert (tf.reduce_max(ends, axis=1).numpy() <= lengths["rgb"].numpy()).all()
    assert set(features["segment_scores"].flat_values.numpy()) == {0, 1}
    assert tf.reduce_all(features["segment_labels"].row_lengths() == starts.row_lengths())
    for record in records_of(folder):
        packed = pack(record, "frame", LABELS)
        assert packed.ratings and not packed.rejected_ratings
        assert tf.train.SequenceExample.FromString(record).SerializeToString(deterministic=True) == record


def test_the_same_seed_gives_the_same_bytes_and_the_same_videos_in_any_number(folder: Path, tmp_path: Path) -> None:
    write_dataset(tmp_path, "frame", VIDEOS // 2, LABELS, SEED, shards=5, segments=True)
    assert records_of(tmp_path) == records_of(folder)[: VIDEOS // 2]


def test_ratings_say_what_the_frames_show(world: World) -> None:
    for index in range(VIDEOS):
        video = world.draw(SEED, index)
        shown = video.shown[video.run_of_frame]
        ratings = rate(world, video, SEED, index)
        assert len({rating.start for rating in ratings}) == min(5, len(shown) // 5)
        assert len({(rating.start, rating.label) for rating in ratings}) == len(ratings)
        for rating in ratings:
            frames = np.count_nonzero(shown[rating.start : rating.start + 5] == rating.label)
            assert rating.holds == (frames >= 2) and (not rating.holds or rating.label in video.labels)


def test_labels_come_and_go(world: World) -> None:
    """Labels of a video hold in some of its segments, for longer than one of them."""
    share, again = [], []
    for index in range(VIDEOS):
        video = world.draw(SEED, index)
        holding = [set(labels_that_hold(video, start)) for start in range(0, len(video.frames) - 4, 5)]
        for label in video.labels.tolist():
            held = np.array([label in labels for labels in holding])
            share.append(held.mean())
            again += held[1:][held[:-1]].tolist()
    assert 0.2 < np.mean(share) < 0.7 and np.mean(again) > np.mean(share) + 0.1


def test_the_oracle_file_has_the_oracles_map(folder: Path, world: World) -> None:
    described = json.loads((folder / "oracle.json").read_text())
    assert described["parameters"]["mean_run_frames"] == 10 and described["synthetic"] is True
    oracle, rows = SegmentOracle(Oracle(world)), []
    for index in range(VIDEOS):
        video = world.draw(SEED, index)
        ratings = rate(world, video, SEED, index)
        scores = oracle.scores(video, ratings)
        rows += [(rating.label, score, rating.holds) for rating, score in zip(ratings, scores, strict=True)]
    label, score, holds = (np.array(column) for column in zip(*rows, strict=True))
    precisions = []
    for rated in np.unique(label[holds]):
        ranked = holds[label == rated][np.argsort(-score[label == rated], kind="stable")]
        precisions.append((np.cumsum(ranked) / np.arange(1, len(ranked) + 1) * ranked).sum() / ranked.sum())
    written = described["ratings"]
    assert written["oracle"]["map_at_k"] == pytest.approx(np.mean(precisions), abs=1e-9)
    assert (written["number"], written["positives"]) == (len(rows), holds.sum())
    # Probabilities: right on average, and far better than the share of the positive ratings.
    assert abs(score.mean() - holds.mean()) < 0.08 and np.mean(precisions) > 0.85
    assert score.min() >= 0 and score.max() <= 1


def test_segments_need_frames(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="level is video, allowed with segments: frame"):
        write_dataset(tmp_path / "out", "video", 12, 5, 0, segments=True)


def test_a_data_set_without_ratings_is_another_one(tmp_path: Path) -> None:
    write_dataset(tmp_path, "frame", 10, 3, 0, segments=True)
    assert not write_dataset(tmp_path, "frame", 10, 3, 0, segments=True)
    with pytest.raises(InputError, match="is not empty"):
        write_dataset(tmp_path, "frame", 10, 3, 0)
