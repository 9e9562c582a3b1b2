"""DatasetStatistics: counts equal those of plain Python for any grouping of videos; the component end to end."""

import json
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from components.dataset_statistics.artifact import DataStatistics
from components.dataset_statistics.component import DatasetStatisticsExecutor
from components.dataset_statistics.counts import PairCounts, SplitCounts
from components.dataset_statistics.statistics import Statistics
from components.example_gen.packing import pack
from components.example_gen.splits import SPLITS

CLASSES = 10
NAMES = [f"label <{number}>" for number in range(CLASSES)]


def packed(example):
    """Labels and features (frames x 1152 or 1152, dequantized in float64) of a packed tf.Example."""
    features = tf.train.Example.FromString(example).features.feature
    labels = list(features["labels"].int64_list.value)
    if "mean_rgb" in features:
        means = [*features["mean_rgb"].float_list.value, *features["mean_audio"].float_list.value]
        return labels, np.array(means, np.float64)
    rgb, audio = (
        np.frombuffer(features[key].bytes_list.value[0], np.uint8).reshape(
            features["num_frames"].int64_list.value[0], -1
        )
        for key in ("rgb", "audio")
    )
    return labels, np.concatenate([rgb, audio], axis=1) * (4 / 255) + 4 / 512 - 2


def check(counts, examples, classes=CLASSES):
    """Compares counts with plain Python over the same packed examples."""
    videos = [packed(example) for example in examples]
    assert counts.videos == len(videos)
    frequency = Counter(label for labels, _ in videos for label in labels)
    assert counts.label_frequency.tolist() == [frequency[label] for label in range(classes)]
    sizes = Counter(len(labels) for labels, _ in videos)
    assert counts.labels_a_video.tolist() == [sizes[size] for size in range(classes + 1)]
    pairs = Counter(pair for labels, _ in videos for pair in combinations(sorted(labels), 2))
    expected = sorted(((*pair, number) for pair, number in pairs.items()), key=lambda pair: (-pair[2], pair[:2]))
    assert counts.pairs.top(classes**2) == expected and counts.pairs.distinct == len(expected)
    if not videos:
        return
    mean, variance = counts.moments.mean_and_variance()
    if counts.level == "frame":
        frames = Counter(len(features) for _, features in videos)
        assert counts.frames_a_video.tolist() == [frames[number] for number in range(301)]
        rows = np.concatenate([features for _, features in videos])
    else:
        rows = np.stack([features for _, features in videos])
    np.testing.assert_allclose(mean, rows.mean(axis=0), rtol=0, atol=1e-12)
    np.testing.assert_allclose(variance, rows.var(axis=0), rtol=1e-11, atol=1e-13)


@pytest.fixture(scope="module")
def examples():
    """Packed videos of both levels: one to four labels, up to 300 frames of extreme and of random codes."""
    generator = np.random.default_rng(0)
    made = {"frame": [], "video": []}
    for number in range(12):
        labels = sorted(generator.choice(CLASSES, 1 + number % 4, replace=False).tolist())
        frames = (1, 300, 17)[number % 3]
        features = {"labels": tf.train.Feature(int64_list=tf.train.Int64List(value=labels))}
        codes = np.full((frames, 1152), 255) if number == 1 else generator.integers(0, 256, (frames, 1152))
        codes[:, 5] = 7  # a constant dimension
        values = {"rgb": codes[:, :1024], "audio": codes[:, 1024:]}
        stored = {key: [value.astype(np.uint8).tobytes()] for key, value in values.items()}
        frame = features | {
            key: tf.train.Feature(bytes_list=tf.train.BytesList(value=value)) for key, value in stored.items()
        }
        frame["num_frames"] = tf.train.Feature(int64_list=tf.train.Int64List(value=[frames]))
        # A mean far above the spread: naive sums of squares would lose the variance.
        video = features | {
            f"mean_{key}": tf.train.Feature(float_list=tf.train.FloatList(value=1e3 + value.mean(axis=0) / 255))
            for key, value in values.items()
        }
        for level, feature in (("frame", frame), ("video", video)):
            made[level].append(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())
    return made


def counted(level, videos):
    counts = SplitCounts(level, CLASSES)
    for video in videos:
        counts.add(video)
    return counts


@pytest.mark.parametrize("level", ["frame", "video"])
def test_counts_equal_those_of_plain_python(examples, level):
    check(counted(level, examples[level]), examples[level])


@pytest.mark.parametrize("level", ["frame", "video"])
def test_no_videos_give_empty_counts(level):
    check(counted(level, []), [])


@pytest.mark.parametrize("level", ["frame", "video"])
@given(groups=st.lists(st.integers(0, 3), min_size=12, max_size=12))
@settings(max_examples=25)
def test_any_grouping_of_the_videos_gives_the_same_counts(examples, level, groups):
    merged = counted(level, [])
    for group in range(4):
        merged.merge(counted(level, [v for v, place in zip(examples[level], groups, strict=True) if place == group]))
    check(merged, examples[level])
    if level == "frame":  # integers: the same to the last bit
        np.testing.assert_array_equal(
            merged.moments.mean_and_variance(), counted(level, examples[level]).moments.mean_and_variance()
        )


def test_pairs_are_counted_beyond_one_batch(monkeypatch):
    monkeypatch.setattr("components.dataset_statistics.counts.WAITING_PAIRS", 7)
    pairs = PairCounts(20)
    for _ in range(9):
        pairs.add(np.arange(20))
    assert pairs.top(400) == [(first, second, 9) for first, second in combinations(range(20), 2)]


def test_memory_of_pairs_depends_on_the_distinct_ones():
    pairs = PairCounts(3862)
    for _ in range(100_000):
        pairs.add(np.array([1, 5, 3861]))
    assert pairs.top(1) == [(1, 5, 100_000)] and pairs.distinct == 3
    assert pairs._number_waiting == 0 and len(pairs._keys) == 3


@pytest.fixture
def shards(tmp_path, write_shard, frame_record, video_record):
    """Four shards of twelve videos of a level, with a repeated id, a rejected record and a label listed twice."""

    def write(level):
        make = frame_record if level == "frame" else video_record
        for shard in range(4):
            records = [make(f"{shard}{number:03d}", [number % 7, 8, number % 3]) for number in range(12)]
            write_shard(tmp_path / "data" / f"train{shard:04d}.tfrecord", records)
        write_shard(tmp_path / "data" / "train0004.tfrecord", [make("0001", [0]), make("bad1", [99])])
        return tmp_path / "data"

    return write


@pytest.mark.parametrize("level", ["frame", "video"])
def test_the_component_counts_every_split(shards, ingest, artifact, execute, level):
    data = shards(level)
    packed_videos, quarantine = ingest(data, level=level, quarantine_limit=0.1)
    output = artifact(DataStatistics, "statistics")
    properties = {"names": json.dumps(NAMES), "level": level, "data": str(data), "sources": ""}
    properties["synthetic"] = '{"synthetic": true}'
    inputs = {"examples": packed_videos, "quarantine": quarantine}
    execute(DatasetStatisticsExecutor, inputs, {"statistics": output}, properties)
    statistics = Statistics.read(output.uri)
    assert statistics.level == level and statistics.synthetic and list(statistics.names) == NAMES
    assert (statistics.ingest.quarantined, sum(statistics.ingest.duplicates.values())) == (1, 1)
    assert list(statistics.splits) == list(SPLITS)
    for name, split in statistics.splits.items():
        files = sorted(Path(packed_videos.uri, f"Split-{name}").glob("*"))
        videos = [packed(raw.numpy()) for raw in tf.data.TFRecordDataset(files)]
        frequency = Counter(label for labels, _ in videos for label in labels)
        assert split.videos == len(videos) == statistics.ingest.videos[name]
        assert dict(enumerate(split.label_frequency)) == {label: frequency[label] for label in range(CLASSES)}
        assert split.max_frequency.videos == max(frequency.values())
        assert split.absent_labels == tuple(NAMES[label] for label in range(CLASSES) if not frequency[label])
        assert split.labels_a_video.mean == pytest.approx(np.mean([len(labels) for labels, _ in videos]))
        assert split.labels_a_video.median == sorted(len(labels) for labels, _ in videos)[(len(videos) - 1) // 2]
        assert (split.frames_a_video.mean if level == "frame" else split.frames_a_video) == (
            3.0 if level == "frame" else None
        )
        top = Counter(pair for labels, _ in videos for pair in combinations(labels, 2)).most_common(1)[0][1]
        assert split.top_pairs[0].videos == top
        assert split.top_pairs[0].names == tuple(NAMES[label] for label in split.top_pairs[0].ids)
        rows = np.concatenate([np.atleast_2d(features) for _, features in videos])
        np.testing.assert_allclose(split.features.mean, rows.mean(axis=0), atol=1e-12)
        for ending, start in (("png", b"\x89PNG"), ("svg", b"<?xml")):
            assert Path(output.uri, f"figures/label-frequency-{name}.{ending}").read_bytes().startswith(start)
    page = Path(output.uri, "statistics.html").read_text()
    assert "Synthetic data." in page and "label &lt;8&gt;" in page and "label <8>" not in page
    assert "label 99 is outside the vocabulary" in page and quarantine.uri in page


def test_real_frames_and_averages_equal_those_of_plain_tensorflow(real_data):
    counts, frames, sums = SplitCounts("frame", 3862), [], np.zeros(1152)
    files = sorted((real_data / "frame").glob("*.tfrecord"))[:6]
    for raw in tf.data.TFRecordDataset(files):
        counts.add(pack(raw.numpy(), "frame", 3862).example)
        _, lists = tf.io.parse_single_sequence_example(
            raw, sequence_features={key: tf.io.FixedLenSequenceFeature([], tf.string) for key in ("rgb", "audio")}
        )
        codes = tf.concat([tf.io.decode_raw(lists[key], tf.uint8) for key in ("rgb", "audio")], axis=1).numpy()
        frames.append(len(codes))
        sums += (codes.astype(np.float64) * 4 / 255 + 4 / 512 - 2).sum(axis=0)
    assert np.repeat(np.arange(301), counts.frames_a_video).tolist() == sorted(frames)
    mean, _ = counts.moments.mean_and_variance()
    np.testing.assert_allclose(mean, sums / sum(frames), atol=1e-12)
