"""Drift: equal to TFDV's comparator and plain NumPy, described in words, able to end a run before training."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
import tensorflow_data_validation as tfdv
from tensorflow_data_validation.statistics import stats_impl

import components.schema
from components.dataset_statistics.artifact import DataStatistics
from components.dataset_statistics.counts import SplitCounts
from components.dataset_statistics.statistics import describe
from components.drift_detector.component import DataDrift, DriftDetectorExecutor
from components.drift_detector.drift import Drift, compare, shift_by_chance
from components.drift_detector.settings import DriftSettings
from components.example_gen.ingest import Summary
from models.errors import InputError

NAMES = ["Car", "Dog", "Guitar", "Piano", "Cooking"]
SHARES = np.array([0.5, 0.3, 0.2, 0.15, 0.1])


def dealt(generator, videos, shares=SHARES):
    """Labels of videos: each independently, at least one."""
    rows = generator.random((videos, len(shares))) < shares
    rows[~rows.any(axis=1), 0] = True
    return [np.flatnonzero(row).tolist() for row in rows]


def video_statistics(labels, means=None, names=NAMES):
    """Statistics of video-level training data: labels and float [videos, 1152] means, standard normal by default."""
    counts = {split: SplitCounts("video", len(names)) for split in ("train", "validation", "test")}
    means = np.random.default_rng(len(labels)).normal(size=(len(labels), 1152)) if means is None else means
    for row, mean in zip(labels, means, strict=True):
        counts["train"].add(packed(row, mean_rgb=mean[:1024], mean_audio=mean[1024:]))
    return describe(counts, names, "data", "video", None, Summary({}, 0, 0), "")


def frame_statistics(frames):
    """Statistics of frame-level training data by number of frames, with one label and zeros as codes."""
    counts = {split: SplitCounts("frame", 2) for split in ("train", "validation", "test")}
    for number in frames:
        counts["train"].add(packed([0], rgb=bytes(1024 * number), audio=bytes(128 * number)))
    return describe(counts, ["a", "b"], "data", "frame", None, Summary({}, 0, 0), "")


def packed(labels, **values):
    features = {"labels": tf.train.Feature(int64_list=tf.train.Int64List(value=labels))}
    for name, value in values.items():
        features[name] = (
            tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
            if isinstance(value, bytes)
            else tf.train.Feature(float_list=tf.train.FloatList(value=value))
        )
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def measured(drift):
    return {measure.name.split(" of the ")[-1]: measure for measure in drift.measures}


def test_the_distance_of_labels_is_the_root_of_tfdvs_divergence():
    generator = np.random.default_rng(3)
    sides = [dealt(generator, 400), dealt(generator, 300, SHARES[::-1])]
    schema = tfdv.load_schema_text(str(Path(components.schema.__file__).with_name("video.pbtxt")))
    [feature] = [feature for feature in schema.feature if feature.name == "labels"]
    feature.drift_comparator.jensen_shannon_divergence.threshold = 0.0
    before, now = (
        stats_impl.generate_statistics_in_memory(
            pa.RecordBatch.from_arrays([pa.array(labels, pa.list_(pa.int64()))], ["labels"]),
            tfdv.StatsOptions(schema=schema),
        )
        for labels in sides
    )
    [comparison] = tfdv.validate_statistics(now, schema, previous_statistics=before).drift_skew_info
    drift = compare(*(video_statistics(labels) for labels in sides), "7", DriftSettings())
    assert measured(drift)["labels"].value ** 2 == pytest.approx(comparison.drift_measurements[0].value, rel=1e-9)
    assert measured(drift)["labels"].drifted and "distance of the labels: 0.3" in drift.findings[0]


def test_samples_of_the_same_source_show_no_drift_however_low_the_limits():
    strict = DriftSettings(label_distance=0, frame_distance=0, feature_shift=0)
    generator = np.random.default_rng(0)
    findings = [
        compare(video_statistics(dealt(generator, 300)), video_statistics(dealt(generator, 200)), "7", strict).findings
        for _ in range(20)
    ]
    assert findings == [[]] * 20
    frames = [frame_statistics(generator.integers(1, 20, videos)) for videos in (300, 200)]
    assert compare(*frames, "7", strict).describe() == ["no drift from the training data of version 7, which serves"]


def test_labels_that_appear_and_vanish_are_named_unless_chance_explains_them():
    before, now = [[0]] * 197 + [[1]] * 200 + [[2]] * 3, [[0]] * 100 + [[3]] * 50 + [[4]]
    drift = compare(video_statistics(before), video_statistics(now), "7", DriftSettings(label_distance=1))
    assert [(label.name, label.share) for label in drift.appeared] == [("Piano", pytest.approx(50 / 151))]
    assert [(label.name, label.share_elsewhere) for label in drift.vanished] == [("Dog", pytest.approx(0.5))]
    assert drift.findings == [
        "1 label appeared: Piano (33.11% of the videos)",
        "1 label vanished: Dog (50.00% of the videos)",
    ]


def test_longer_videos_are_drift_of_the_numbers_of_frames():
    before, now = [*range(1, 11)] * 20, [*range(6, 16)] * 20
    drift = compare(frame_statistics(before), frame_statistics(now), "7", DriftSettings(frame_distance=0.4))
    # Half of the videos have numbers of frames that occur on both sides: the divergence is a half.
    assert measured(drift)["numbers of frames"].value == pytest.approx(0.5**0.5)
    assert [sentence.partition(",")[0] for sentence in drift.findings] == ["distance of the numbers of frames: 0.707"]


def test_a_shift_of_a_mean_is_measured_in_standard_deviations():
    generator = np.random.default_rng(1)
    before, now = generator.normal(2, 3, (500, 1152)), generator.normal(2, 3, (400, 1152))
    before[:, 1027], now[:, 1027] = 0, 0.01  # the audio stream's fourth, constant
    now[:, 17] += 1.5
    labels = [[0]] * 500
    drift = compare(video_statistics(labels, before), video_statistics(labels[:400], now), "7", DriftSettings())
    stored = before.astype(np.float32).astype(np.float64)[:, 17], now.astype(np.float32).astype(np.float64)[:, 17]
    expected = (stored[1].mean() - stored[0].mean()) / stored[0].std()
    largest, second = drift.shifted[:2]
    # The unit of a constant feature is a step of the 8-bit quantization from -2 to 2.
    assert (largest.name, second.name) == ("audio 3", "rgb 17")
    assert largest.shift == pytest.approx(0.01 / (4 / 255)) and second.shift == pytest.approx(expected)
    [measure] = [measure for measure in drift.measures if "shift" in measure.name]
    assert measure.drifted and drift.findings == [
        f"shift of the mean of audio 3: {largest.shift:.3f}, allowed 0.25, by chance up to {measure.by_chance:.3f}"
    ]


def test_the_largest_shift_of_random_samples_is_within_chance():
    generator = np.random.default_rng(2)
    limit, beyond = shift_by_chance(60, 40, 100), 0
    for _ in range(200):
        before, now = generator.normal(size=(60, 100)), generator.normal(size=(40, 100))
        beyond += np.abs(before.mean(0) - now.mean(0)).max() > limit
    assert beyond <= 6  # 2 are expected; one side's deviation is known here
    assert limit == pytest.approx(3.8906 * (1 / 60 + 1 / 40) ** 0.5, rel=1e-3)  # z of 0.00005, from a table


def test_nothing_is_compared_without_training_videos():
    empty = video_statistics([])
    drift = compare(empty, video_statistics([[0]] * 5), "7", DriftSettings())
    assert drift.describe() == ["a training split without videos: nothing to compare"] and not drift.findings


@pytest.fixture
def detect(artifact, execute, tmp_path):
    """Runs DriftDetector on statistics; returns the drift."""

    def run(statistics, **settings):
        data, drift = artifact(DataStatistics, "statistics"), artifact(DataDrift, "drift")
        statistics.write(data.uri)
        properties = {
            "push_directory": str(tmp_path / "serving"),
            "settings": DriftSettings(**settings).model_dump_json(),
        }
        execute(DriftDetectorExecutor, {"statistics": data}, {"drift": drift}, properties)
        return Drift.read(drift.uri)

    return run


@pytest.fixture
def serve(tmp_path):
    """Puts the files of a pushed model where DriftDetector looks."""

    def write(version, statistics=None, names=NAMES):
        extra = tmp_path / "serving" / version / "assets.extra"
        extra.mkdir(parents=True)
        (extra.parent / "saved_model.pb").touch()
        card = {"level": "video", "model_id": version, "model": {"encoder": {"name": "average"}}}
        (extra / "model_card.json").write_text(json.dumps(card))
        (extra / "labels.txt").write_text("".join(f"{name}\n" for name in names))
        if statistics:
            statistics.write(str(extra))

    return write


def test_the_newest_model_that_serves_is_compared_with(detect, serve):
    now = video_statistics([[0]] * 100)
    assert detect(now).describe() == ["no model serves yet: nothing to compare the data with"]
    serve("7")
    assert detect(now).describe() == ["version 7, which serves, has no statistics of its data"]
    serve("8", video_statistics([[1]] * 100))
    assert detect(now).version == "8" and len(detect(now).findings) == 3
    serve("9", now)
    assert detect(now).describe() == ["no drift from the training data of version 9, which serves"]


def test_drift_ends_the_run_with_data_drift_stop(detect, serve):
    serve("8", video_statistics([[1]] * 100))
    message = r"drifted from those of version 8, .* data.drift.stop is true: distance of the labels: 1.000, allowed 0.1"
    with pytest.raises(InputError, match=message):
        detect(video_statistics([[0]] * 100), stop=True)
    assert not detect(video_statistics([[1]] * 90), stop=True, feature_shift=1).findings


def test_other_labels_than_the_serving_models_are_refused_before_training(detect, serve):
    serve("8", names=["Car", "Dog"])
    with pytest.raises(InputError, match="serves a video-level model with 2 labels, the new model has the video level"):
        detect(video_statistics([[0]] * 5))
