"""Records are checked and packed, or rejected with a reason."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from components.example_gen.packing import InvalidRecord, level_of, pack

MEANS = np.linspace(-2, 2, 1024)


def parsed(video):
    return tf.train.Example.FromString(video.example).features.feature


def test_frames_are_packed_unchanged(frame_record):
    rgb = np.random.default_rng(0).integers(0, 256, (5, 1024), np.uint8)
    audio = np.random.default_rng(1).integers(0, 256, (5, 128), np.uint8)
    video = pack(frame_record("abcd", [3, 1], rgb=rgb, audio=audio), "frame", 4)
    features = parsed(video)
    assert features["id"].bytes_list.value == [b"abcd"] == [video.id]
    assert features["labels"].int64_list.value == [1, 3]
    assert features["num_frames"].int64_list.value == [5]
    assert features["rgb"].bytes_list.value == [rgb.tobytes()]
    assert features["audio"].bytes_list.value == [audio.tobytes()]
    for name, stream in (("rgb", rgb), ("audio", audio)):
        assert video.example[video.starts[name] :].startswith(stream.tobytes())
    assert (video.frames, video.labels, video.cut_frames, video.repeated_labels) == (5, (1, 3), False, False)


def test_means_are_packed_unchanged(video_record):
    video = pack(video_record("abcd", [0], mean_rgb=MEANS), "video", 1)
    features = parsed(video)
    assert np.array_equal(features["mean_rgb"].float_list.value, MEANS.astype(np.float32))
    assert len(features["mean_audio"].float_list.value) == 128
    assert set(features) == {"id", "labels", "mean_rgb", "mean_audio"}
    assert (video.frames, video.cut_frames) == (0, False)


def test_longer_videos_are_cut_to_300_frames_and_counted(frame_record):
    rgb = np.arange(301, dtype=np.uint16)[:, None].repeat(1024, 1).astype(np.uint8)
    video = pack(frame_record(frames=301, rgb=rgb), "frame", 1)
    features = parsed(video)
    assert (video.frames, video.cut_frames) == (300, True)
    assert features["num_frames"].int64_list.value == [300]
    assert features["rgb"].bytes_list.value == [rgb[:300].tobytes()]
    assert len(features["audio"].bytes_list.value[0]) == 300 * 128


def test_repeated_labels_are_kept_once_and_counted(video_record):
    video = pack(video_record(labels=[2, 1, 2]), "video", 3)
    assert parsed(video)["labels"].int64_list.value == [1, 2]
    assert (video.labels, video.repeated_labels) == ((1, 2), True)


def test_without_a_vocabulary_any_or_no_labels_are_accepted(video_record):
    known, unknown = (pack(video_record(labels=labels), "video", None) for labels in ([7, 5000], None))
    assert parsed(known)["labels"].int64_list.value == [7, 5000] and known.labels == (7, 5000)
    assert parsed(unknown)["labels"].int64_list.value == [] and unknown.labels == ()


def test_version_1_records_are_read(frame_record):
    assert pack(frame_record("abcd", id_key="video_id"), "frame", 4).id == b"abcd"


def frames(count, width):
    return np.zeros((count, width), np.uint8)


FRAME_CASES = {
    "no record at all": (b"\x0a\xff", "not a tf.Example"),
    "empty": (b"", "not a tf.Example or tf.SequenceExample (no features)"),
    "no id": ({"id_key": "name"}, "feature id is missing"),
    "no label feature": ({"labels": None}, "feature labels is missing"),
    "no labels": ({"labels": []}, "has no labels, expected at least one"),
    "label too large": ({"labels": [10]}, "label 10 is outside the vocabulary, expected 0 to 9"),
    "label negative": ({"labels": [-1]}, "label -1 is outside the vocabulary, expected 0 to 9"),
    "version 1 label": ({"labels": [4700], "id_key": "video_id"}, "version 1 (4716 classes), use version 2 (3862)"),
    "no audio": ({"audio": None}, "feature audio is missing"),
    "no rgb": ({"rgb": None}, "feature rgb is missing"),
    "rgb too narrow": ({"rgb": frames(3, 1000)}, "rgb has 1,000 bytes in frame 0, expected 1,024"),
    "audio too wide": ({"audio": frames(3, 129)}, "audio has 129 bytes in frame 0, expected 128"),
    "unequal streams": ({"audio": frames(2, 128)}, "rgb has 3 frames and audio 2, expected equal numbers"),
    "no frames": ({"rgb": frames(0, 1024), "audio": frames(0, 128)}, "rgb has no frames, expected 1 to 300"),
    "neither level": ({"rgb": None, "audio": None}, "has neither rgb and audio nor mean_rgb and mean_audio"),
}


@pytest.mark.parametrize("case", FRAME_CASES)
def test_an_invalid_frame_level_record_is_rejected_with_the_reason(case, frame_record):
    record, reason = FRAME_CASES[case]
    record = record if isinstance(record, bytes) else frame_record(**record)
    with pytest.raises(InvalidRecord) as error:
        pack(record, "frame", 10)
    assert reason in str(error.value) and "\n" not in str(error.value)


VIDEO_CASES = {
    "rgb too narrow": ({"mean_rgb": MEANS[:1000]}, "mean_rgb has 1,000 values, expected 1,024"),
    "audio too wide": ({"mean_audio": np.zeros(129)}, "mean_audio has 129 values, expected 128"),
    "no audio": ({"mean_audio": None}, "feature mean_audio is missing"),
    "NaN": ({"mean_rgb": np.where(np.arange(1024) == 7, np.nan, 0)}, "mean_rgb[7] is nan, expected a finite number"),
    "no rgb": ({"mean_rgb": None}, "feature mean_rgb is missing, mean_audio is there: both are needed"),
    "huge": ({"mean_rgb": np.full(1024, 3e38)}, "mean_rgb[0] is 3e+38, expected -1.992 to 2.008"),
    "too small": ({"mean_audio": np.where(np.arange(128) == 5, -2.6, 0)}, "mean_audio[5] is -2.6, expected -1.992 to"),
    "infinite": ({"mean_audio": np.where(np.arange(128) == 3, -np.inf, 0)}, "mean_audio[3] is -inf"),
    "opposite infinities": ({"mean_audio": np.array([np.inf, -np.inf] * 64)}, "mean_audio[0] is inf"),
}


@pytest.mark.parametrize("case", VIDEO_CASES)
def test_an_invalid_video_level_record_is_rejected_with_the_reason(case, video_record):
    settings, reason = VIDEO_CASES[case]
    with pytest.raises(InvalidRecord) as error:
        pack(video_record(**settings), "video", 10)
    assert reason in str(error.value)


def test_the_other_level_is_rejected(frame_record, video_record):
    with pytest.raises(InvalidRecord, match="video-level record in a frame-level data set"):
        pack(video_record(), "frame", 1)
    with pytest.raises(InvalidRecord, match="frame-level record in a video-level data set"):
        pack(frame_record(), "video", 1)


def test_the_level_is_read_from_the_record(frame_record, video_record):
    assert (level_of(frame_record()), level_of(video_record())) == ("frame", "video")


def test_kept_features_stay_unchanged_where_a_record_has_them(video_record):
    for record, kept in ((video_record(channel=b"news", owner=b"me"), [b"news"]), (video_record(owner=b"me"), None)):
        features = parsed(pack(record, "video", 1, kept_features=["channel"]))
        assert ("channel" in features) == (kept is not None) and "owner" not in features
        assert kept is None or list(features["channel"].bytes_list.value) == kept


WORDS, FLOATS, NUMBERS = (
    tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"a"])),
    tf.train.Feature(float_list=tf.train.FloatList(value=[1.0])),
    tf.train.Feature(int64_list=tf.train.Int64List(value=[1])),
)
TWO = tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"a", b"b"]))


@pytest.mark.parametrize("classes", [10, None])
@pytest.mark.parametrize(
    ("name", "feature", "reason"),
    [
        ("mean_rgb", WORDS, "mean_rgb is a list of bytes, expected 1,024 floats"),
        ("mean_audio", NUMBERS, "mean_audio is a list of whole numbers, expected 128 floats"),
        ("labels", FLOATS, "labels is a list of floats, expected whole numbers: ids of the labels"),
        ("labels", WORDS, "labels is a list of bytes, expected whole numbers: ids of the labels"),
        ("id", NUMBERS, "id is a list of whole numbers, expected the bytes of one id"),
        ("id", TWO, "id has 2 values, expected one id"),
        ("id", tf.train.Feature(), "id has 0 values, expected one id"),
    ],
)
def test_the_wrong_kind_of_a_feature_is_named(video_record, name, feature, reason, classes):
    example = tf.train.SequenceExample.FromString(video_record())
    example.context.feature[name].CopyFrom(feature)
    with pytest.raises(InvalidRecord) as error:
        pack(example.SerializeToString(), "video", classes)
    assert str(error.value) == reason


def test_the_wrong_kind_of_a_frame_is_named(frame_record):
    example = tf.train.SequenceExample.FromString(frame_record())
    example.feature_lists.feature_list["rgb"].feature[1].CopyFrom(FLOATS)
    with pytest.raises(InvalidRecord, match="rgb in frame 1 is a list of floats, expected 1,024 bytes"):
        pack(example.SerializeToString(), "frame", 10)


def test_names_of_features_are_short_and_printable_in_a_message():
    names = ["\x1b[31m\n", "x" * 1_000_000, *(f"feature_{number:04d}" for number in range(100))]
    record = tf.train.Example(features=tf.train.Features(feature=dict.fromkeys(names, WORDS))).SerializeToString()
    with pytest.raises(InvalidRecord) as error:
        level_of(record)
    message = str(error.value)
    assert len(message) < 500 and message.isprintable() and "and 98 more" in message


@settings(max_examples=300)
@given(st.data())
def test_any_record_is_packed_or_rejected_in_one_line(video_record, frame_record, data):
    content = bytearray(data.draw(st.sampled_from([video_record(), frame_record(), b""])))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, max(len(content) - 1, 0)))
        content[place : place + data.draw(st.integers(0, 30))] = data.draw(st.binary(max_size=30))
    for level in ("video", "frame"):
        try:
            packed = pack(bytes(content), level, 10, ["channel"])
        except InvalidRecord as error:
            assert len(str(error)) < 600 and str(error).isprintable()
        else:
            assert packed.frames <= 300 and 1 <= len(packed.labels) <= 10
