"""Ratings of segments are kept, or rejected with a reason while their videos are kept."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from components.dataset_statistics.statistics import Statistics
from components.example_gen.component import read_summary
from components.example_gen.packing import InvalidRecord, pack
from pipeline.cli import yt8m

FEATURES = ("segment_start_times", "segment_end_times", "segment_labels", "segment_scores")


def rated(*ratings):
    """The features of a record with ratings (start, end, label, score)."""
    lists = [list(values) for values in zip(*ratings, strict=True)]
    return dict(zip(FEATURES, [*lists[:3], list(map(float, lists[3]))], strict=True))


GOOD = (0, 5, 1, 1)


def values(video):
    """The features of segments of a packed video."""
    features = tf.train.Example.FromString(video.example).features.feature
    kinds = {name: "float_list" if name == "segment_scores" else "int64_list" for name in FEATURES}
    return {name: list(getattr(features[name], kind).value) for name, kind in kinds.items() if name in features}


def test_ratings_are_kept_in_their_order(frame_record):
    features = rated((10, 15, 3, 0), (0, 5, 1, 1), (10, 15, 1, 1))
    video = pack(frame_record(frames=15, **features), "frame", 4)
    assert values(video) == features and len(video.ratings) == 3 and not video.rejected_ratings
    for name, width in (("rgb", 1024), ("audio", 128)):  # the index finds the frames as before
        packed = tf.train.Example.FromString(video.example).features.feature[name].bytes_list.value[0]
        assert video.example[video.starts[name] :].startswith(packed) and len(packed) == 15 * width


def test_a_record_without_ratings_gives_the_bytes_of_before(frame_record):
    plain = pack(frame_record(frames=15), "frame", 1)
    empty = pack(frame_record(frames=15, **{name: [] for name in FEATURES[:3]}), "frame", 1)
    assert plain.example == empty.example
    features = tf.train.Example.FromString(plain.example).features.feature
    assert sorted(features) == ["audio", "id", "labels", "num_frames", "rgb"]
    assert plain.example == tf.train.Example(features=tf.train.Features(feature=dict(features))).SerializeToString(
        deterministic=True
    )


@pytest.mark.parametrize("ends", [{"segment_end_times": [5, 25]}, {}])
def test_segments_without_ratings_are_kept(frame_record, ends):
    record = frame_record(frames=30, segment_start_times=[0, 20], **ends)
    for classes in (1, None):
        video = pack(record, "frame", classes)
        assert values(video) == {"segment_start_times": [0, 20], "segment_end_times": [5, 25]}
        assert not video.ratings


BAD = {
    "ends where it begins": ((3, 3, 1, 1), "the segment from 3 to 3 does not end after it begins, expected the end 8"),
    "ends before": ((8, 3, 1, 1), "the segment from 8 to 3 does not end after it begins, expected the end 13"),
    "too short": ((4, 8, 1, 1), "the segment from 4 to 8 has 4 frames, expected 5"),
    "too long": ((4, 14, 1, 1), "the segment from 4 to 14 has 10 frames, expected 5"),
    "negative": ((-5, 0, 1, 1), "the segment from -5 to 0 begins before the video, expected 0 or more"),
    "beyond the end": ((11, 16, 1, 1), "the segment from 11 to 16 ends after the video, which has 15 frames"),
    "milliseconds": ((5000, 5005, 1, 1), "ends after the video, which has 15 frames"),
    "label too large": ((5, 10, 4, 1), "label 4 is outside the vocabulary, expected 0 to 3"),
    "label negative": ((5, 10, -1, 0), "label -1 is outside the vocabulary, expected 0 to 3"),
    "a probability": ((5, 10, 1, 0.5), "score is 0.5, expected 0 or 1"),
    "a count of raters": ((5, 10, 1, 2), "score is 2, expected 0 or 1"),
    "a negative score": ((5, 10, 1, -1), "score is -1, expected 0 or 1"),
    "no score": ((5, 10, 1, np.nan), "score is nan, expected 0 or 1"),
    "rated again": (GOOD, "label 1 of the segment at 0 is rated again, first in rating 0"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_rating_is_dropped_and_the_others_are_kept(case, frame_record):
    rating, reason = BAD[case]
    video = pack(frame_record(frames=15, **rated(GOOD, rating, (5, 10, 0, 0))), "frame", 4)
    [rejected] = video.rejected_ratings
    assert rejected.number == 1 and reason in rejected.reason
    assert values(video) == rated(GOOD, (5, 10, 0, 0)) and len(video.ratings) == 2


def test_ratings_that_contradict_each_other_are_all_dropped(frame_record):
    video = pack(frame_record(frames=15, **rated(GOOD, (5, 10, 0, 0), (0, 5, 1, 0))), "frame", 4)
    reason = "label 1 of the segment at 0 is rated 0 and 1 (ratings 0 and 2), expected one score"
    assert [(rating.number, rating.reason) for rating in video.rejected_ratings] == [(0, reason), (2, reason)]
    assert values(video) == rated((5, 10, 0, 0))


def test_a_segment_beyond_the_300_frames_that_are_kept_is_dropped(frame_record):
    video = pack(frame_record(frames=310, **rated((295, 300, 0, 1), (300, 305, 0, 1))), "frame", 4)
    assert values(video) == rated((295, 300, 0, 1))
    assert "from 300 to 305 ends after the video, which has 300 frames" in video.rejected_ratings[0].reason


def test_a_video_whose_ratings_are_all_bad_is_kept_without_segments(frame_record):
    video = pack(frame_record(frames=15, **rated((11, 16, 1, 1))), "frame", 4)
    assert values(video) == {} and not video.ratings and len(video.rejected_ratings) == 1


def test_segments_without_ratings_are_checked_too(frame_record):
    video = pack(frame_record(frames=15, segment_start_times=[0, 12, 0]), "frame", 4)
    assert values(video)["segment_start_times"] == [0]
    assert [rating.number for rating in video.rejected_ratings] == [1, 2]


BAD_LISTS = {
    "fewer labels": ({"segment_labels": [1]}, "segment_end_times 2, segment_labels 1, segment_scores 2"),
    "fewer scores": ({"segment_scores": [1.0]}, "segment_labels 2, segment_scores 1"),
    "no ends": ({"segment_end_times": []}, "segment_start_times 2, segment_end_times 0"),
    "no starts": ({"segment_start_times": []}, "segment_start_times 0, segment_end_times 2"),
    "labels as floats": ({"segment_labels": [1.0, 2.0]}, "segment_labels is a list of floats, expected whole numbers"),
    "scores as numbers": ({"segment_scores": [1, 0]}, "segment_scores is a list of whole numbers, expected floats"),
}


@pytest.mark.parametrize("case", BAD_LISTS)
def test_lists_that_do_not_belong_together_make_a_bad_record(case, frame_record):
    lists, reason = BAD_LISTS[case]
    with pytest.raises(InvalidRecord) as error:
        pack(frame_record(frames=15, **rated(GOOD, (5, 10, 2, 0)) | lists), "frame", 4)
    assert reason in str(error.value)


@given(st.lists(st.tuples(st.integers(-2, 20), st.integers(-2, 25), st.integers(-1, 5), st.sampled_from([0, 1, 2]))))
def test_every_rating_is_kept_or_rejected(frame_record, ratings):
    video = pack(frame_record(frames=15, **(rated(*ratings) if ratings else {})), "frame", 4)
    assert len(video.ratings) + len(video.rejected_ratings) == len(ratings)
    kept = list(zip(*values(video).values(), strict=True)) if video.ratings else []
    assert len({(start, label) for start, _, label, _ in kept}) == len(kept)
    assert all(0 <= start == end - 5 <= 10 and 0 <= label < 4 and score in (0, 1) for start, end, label, score in kept)


@pytest.fixture
def rated_shards(tmp_path, write_shard, frame_record):
    """Twenty videos in five shards: three with ratings of which one is bad, one whose segments have no ratings."""
    ratings = [(0, 5, 1, 1), (0, 5, 2, 0), (5, 10, 1, 0), (5, 10, 9, 7)]
    for shard in range(5):
        records = [frame_record(f"{shard}{number}", [number], frames=15) for number in range(4)]
        if shard < 3:
            records[1] = frame_record(f"{shard}1", [1], frames=15, **rated(*ratings))
        if shard == 3:
            records[1] = frame_record("31", [1], frames=15, segment_start_times=[0, 5, 10])
        write_shard(tmp_path / "data" / f"train{shard:04d}.tfrecord", records)
    return tmp_path / "data"


def test_bad_ratings_are_counted_and_listed(rated_shards, ingest):
    _, quarantine = ingest(rated_shards)
    summary = read_summary(quarantine.uri)
    assert (summary.ratings, summary.rejected_ratings, summary.quarantined) == (9, 3, 0)
    files = sorted(Path(quarantine.uri).glob("ratings-*.jsonl"))
    listed = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    reason = "score is 7, expected 0 or 1"
    assert listed == [
        {"file": str(shard), "record": 1, "rating": 3, "reason": reason} for shard in sorted(rated_shards.glob("*"))[:3]
    ]
    assert summary.first_rejected_ratings[0] == f"{rated_shards}/train0000.tfrecord, record 1, rating 3: {reason}"


def test_statistics_count_ratings(rated_shards, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = ["stats", "--data", str(rated_shards), "--split", "file:60/20/20", "--seed", "1", "--out", str(out)]
    yt8m.main(arguments, standalone_mode=False)
    assert "3 of 12 ratings rejected" in capsys.readouterr().out
    statistics = Statistics.read(str(out))
    splits = [split.segments for split in statistics.splits.values() if split.segments]
    assert np.sum([split.ratings for split in splits], axis=0)[:4].tolist() == [0, 6, 3, 0]
    assert np.sum([split.positives for split in splits], axis=0)[:4].tolist() == [0, 3, 0, 0]
    assert sum(split.rated_segments for split in splits) == 6
    assert sum(np.array(split.segments_a_video.counts + (0,) * 4)[2] for split in splits) == 3
    assert sum(np.array(split.segments_a_video.counts + (0,) * 4)[3] for split in splits) == 1
    assert len((out / "bad_ratings.jsonl").read_text().splitlines()) == 3
    page = (out / "statistics.html").read_text()
    assert "Rated labels" in page and "ratings (the label holds)" in page and "rating 3: score is 7" in page
