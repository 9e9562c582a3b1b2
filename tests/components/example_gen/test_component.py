"""ExampleGen end to end on small shards: no record is lost, and each rejected one is listed."""

import json
import shutil
from pathlib import Path

import pytest
import tensorflow as tf

from components.example_gen import component
from components.example_gen.component import read_summary
from components.example_gen.splits import SPLITS
from models.errors import InputError


def packed(examples, split):
    files = sorted(Path(examples.uri, f"Split-{split}").glob("*"))
    return [tf.train.Example.FromString(raw.numpy()).features.feature for raw in tf.data.TFRecordDataset(files)]


def ids(examples):
    return {split: {features["id"].bytes_list.value[0] for features in packed(examples, split)} for split in SPLITS}


def quarantined(artifact):
    files = sorted(Path(artifact.uri).glob("records-*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


@pytest.fixture
def shards(tmp_path, write_shard, frame_record):
    """Five valid shards of eight videos."""
    folder = tmp_path / "data"
    for shard in range(5):
        records = [frame_record(f"{shard}{number:03d}", [number], frames=2 + number) for number in range(8)]
        write_shard(folder / f"train{shard:04d}.tfrecord", records)
    return folder


def test_every_video_is_written_once_in_plain_tfrecords(shards, ingest):
    examples, quarantine = ingest(shards)
    splits = ids(examples)
    assert set().union(*splits.values()) == {f"{s}{n:03d}".encode() for s in range(5) for n in range(8)}
    assert sum(map(len, splits.values())) == 40 and all(splits.values())
    assert json.loads(examples.split_names) == list(SPLITS)
    summary = read_summary(quarantine.uri)
    assert summary.videos == {split: len(splits[split]) for split in SPLITS}
    assert (summary.frames, summary.labels, summary.quarantined) == (5 * sum(range(2, 10)), 40, 0)
    assert not list(Path(examples.uri).glob("writing*")) and not quarantined(quarantine)


def test_splits_by_file_keep_files_together(shards, ingest):
    examples, _ = ingest(shards, split="file:60/20/20")
    splits = ids(examples)
    assert {split: len(videos) for split, videos in splits.items()} == {"train": 24, "validation": 8, "test": 8}
    assert len({video[:1] for video in splits["test"]}) == 1


def test_test_data_is_the_test_split(shards, ingest, tmp_path, write_shard, frame_record):
    test_data = write_shard(tmp_path / "test" / "a.tfrecord", [frame_record("test", [1])])
    examples, _ = ingest(shards, split="file:60/40", test_data=str(test_data))
    splits = ids(examples)
    assert splits["test"] == {b"test"} and len(splits["train"]) == 24 and len(splits["validation"]) == 16


def test_the_newest_span_is_ingested(tmp_path, ingest, write_shard, frame_record):
    for span in (1, 2):
        records = [frame_record(f"{span}{number:03d}") for number in range(20)]
        write_shard(tmp_path / "data" / f"span-{span}" / "a.tfrecord", records)
    examples, _ = ingest(f"{tmp_path}/data/span-{{SPAN}}/*")
    assert {video[:1] for videos in ids(examples).values() for video in videos} == {b"2"}
    assert examples.get_int_custom_property("span") == 2


def test_several_spans_are_ingested_together_and_each_is_split_as_if_alone(
    tmp_path, ingest, write_shard, frame_record, caplog
):
    for span in (1, 2):
        for shard in "abcdef":
            records = [frame_record(f"{span}{shard}{number}") for number in range(3)]
            write_shard(tmp_path / "data" / f"span-{span}" / f"{shard}.tfrecord", records)
    alone, _ = ingest(f"{tmp_path}/data/span-1/*", split="file:60/20/20")
    before = ids(alone)
    with caplog.at_level("INFO", "components.example_gen"):
        examples, _ = ingest(f"{tmp_path}/data/span-{{SPAN}}/*", split="file:60/20/20", spans=3)
    assert f"data.spans is 3, but there are fewer spans: {tmp_path}/data/span-{{2,1}}/*" in caplog.text
    splits = ids(examples)
    assert sum(map(len, splits.values())) == 36 and examples.get_int_custom_property("span") == 2
    for split in SPLITS:
        assert {video for video in splits[split] if video.startswith(b"1")} == before[split]


def bad_shards(folder, write_shard, frame_record, video_record):
    """A shard for each kind of damage, after one valid record; returns the expected reasons."""
    good = frame_record("good", [1])
    cases = {
        "no-example": (b"\x0a\xff", "not a tf.Example"),
        "no-audio": (frame_record(audio=None), "feature audio is missing"),
        "no-frames": (frame_record(frames=0), "rgb has no frames"),
        "outside": (frame_record(labels=[10]), "label 10 is outside the vocabulary, expected 0 to 9"),
        "no-labels": (frame_record(labels=[]), "has no labels"),
        "other-level": (video_record(), "video-level record in a frame-level data set"),
    }
    for name, (record, _) in cases.items():
        write_shard(folder / f"{name}.tfrecord", [good.replace(b"good", name[:4].encode()), record])
    reasons = {name: reason for name, (_, reason) in cases.items()}
    cut = write_shard(folder / "cut.tfrecord", [good.replace(b"good", b"cut1"), good])
    cut.write_bytes(cut.read_bytes()[:-100])
    crc = write_shard(folder / "crc.tfrecord", [good, good.replace(b"good", b"crc1")])
    content = bytearray(crc.read_bytes())
    content[100] ^= 1
    crc.write_bytes(content)
    (folder / "zero.tfrecord").write_bytes(b"")
    return reasons | {
        "cut": "the file ends inside the record",
        "crc": "the checksum of the record is wrong",
        "zero": "the file is empty (0 bytes)",
    }


def test_rejected_records_are_listed_with_file_record_and_reason(
    shards, ingest, write_shard, frame_record, video_record
):
    reasons = bad_shards(shards, write_shard, frame_record, video_record)
    examples, quarantine = ingest(shards, quarantine_limit=0.5)
    listed = {Path(bad["file"]).stem: bad for bad in quarantined(quarantine)}
    assert set(listed) == set(reasons)
    for name, reason in reasons.items():
        assert reason in listed[name]["reason"]
        assert listed[name]["record"] == (0 if name in ("crc", "zero") else 1)
    # The eight valid records in the damaged shards are kept.
    assert sum(map(len, ids(examples).values())) == 48
    summary = read_summary(quarantine.uri)
    assert summary.quarantined == len(reasons) and len(summary.first_quarantined) == len(reasons)


def test_too_many_rejected_records_end_the_run_with_the_first_of_them(shards, ingest, write_shard, frame_record):
    write_shard(shards / "bad.tfrecord", [frame_record("bad1", labels=[99])])
    with pytest.raises(InputError) as error:
        ingest(shards, quarantine_limit=0.001)
    assert "1 of 41 records rejected, more than quarantine_limit 0.10%" in str(error.value)
    assert f"first: {shards}/bad.tfrecord, record 0: label 99 is outside the vocabulary" in str(error.value)


def test_a_wrong_length_loses_only_its_record(shards, ingest, write_shard, frame_record):
    records = [frame_record(f"t{number:03d}", [0], frames=10) for number in range(20)]
    path = write_shard(shards / "tail.tfrecord", records)
    content = bytearray(path.read_bytes())
    content[len(content) // 2 // len(records[0]) * (len(records[0]) + 16) + 9] ^= 1
    path.write_bytes(content)
    _, quarantine = ingest(shards, quarantine_limit=0.5)
    summary = read_summary(quarantine.uri)
    assert len(quarantined(quarantine)) == 1
    assert summary.records == 60


def test_more_damaged_bytes_than_the_limit_fail_the_run(shards, ingest, write_shard, frame_record):
    path = write_shard(shards / "tail.tfrecord", [frame_record(f"t{number:03d}", [0]) for number in range(20)])
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 4)
        file.write(bytes(size // 2))
    with pytest.raises(InputError, match=r"[\d,]+ of [\d,]+ bytes of the shards damaged, more than .* 5.00%"):
        ingest(shards, quarantine_limit=0.05)


def test_changed_records_are_counted(shards, ingest, write_shard, frame_record):
    write_shard(shards / "mended.tfrecord", [frame_record("long", frames=310), frame_record("twic", labels=[3, 3])])
    _, quarantine = ingest(shards)
    summary = read_summary(quarantine.uri)
    assert (summary.cut_to_max_frames, summary.repeated_labels, summary.quarantined) == (1, 1, 0)


def test_ids_that_occur_twice_are_reported(shards, ingest, write_shard, frame_record):
    again = shards / "again.tfrecord"
    write_shard(again, [frame_record("0001"), frame_record("1002"), frame_record("new1")])
    _, quarantine = ingest(shards, split="file:60/20/20", seed=3)
    duplicates = read_summary(quarantine.uri).duplicates
    assert sum(duplicates.values()) == 2
    assert all(where.startswith("within ") or " and " in where for where in duplicates)


def test_too_little_disk_space_is_reported_before_anything_is_written(shards, ingest, monkeypatch, tmp_path):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(component.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(InputError, match="bytes are needed for the packed records, 1,000 are free"):
        ingest(shards)
    assert not list((tmp_path / "artifacts").glob("*/*"))


def test_records_of_another_level_are_refused(shards, ingest):
    with pytest.raises(InputError, match="holds frame-level records, the experiment reads video-level ones"):
        ingest(shards, level="video")


def test_a_split_without_videos_is_refused(tmp_path, ingest, write_shard, frame_record):
    write_shard(tmp_path / "data" / "a.tfrecord", [frame_record("aaaa")])
    with pytest.raises(InputError, match="no videos in the split"):
        ingest(tmp_path / "data")


def test_real_shards_are_read_whole(real_data, ingest):
    examples, quarantine = ingest(real_data / "frame", classes=3862, split="file:80/10/10")
    summary = read_summary(quarantine.uri)
    assert sum(summary.videos.values()) == 102 and summary.quarantined == 0
    assert summary.frames == sum(
        features["num_frames"].int64_list.value[0] for split in SPLITS for features in packed(examples, split)
    )


def test_labels_that_are_a_vector_in_every_record_are_refused(tmp_path, write_shard, video_record, ingest):
    for shard in range(5):
        records = [video_record(f"{shard}{number:03d}", [0] * number + [1] * (10 - number)) for number in range(8)]
        write_shard(tmp_path / "vectors" / f"train{shard:04d}.tfrecord", records)
    with pytest.raises(InputError, match="labels of all 40 videos are a 0 or 1 for each label, expected ids"):
        ingest(tmp_path / "vectors", level="video")


def test_with_two_labels_0_and_1_are_ids(tmp_path, write_shard, video_record, ingest):
    for shard in range(5):
        write_shard(tmp_path / "two" / f"{shard}.tfrecord", [video_record(f"{shard}", [0, 1])])
    ingest(tmp_path / "two", level="video", classes=2, split="file:60/20/20")


def test_labels_listed_twice_in_every_record_are_refused(tmp_path, write_shard, video_record, ingest):
    for shard in range(5):
        records = [video_record(f"{shard}{number}", [1, 1, 0]) for number in range(3)]
        write_shard(tmp_path / "twice" / f"{shard}.tfrecord", records)
    with pytest.raises(InputError, match="each of 15 videos lists a label twice"):
        ingest(tmp_path / "twice", level="video")


@pytest.mark.parametrize(
    ("channels", "message"),
    [
        ([b"news", 7], "evaluation.slices: 'channel' holds bytes in .* and whole numbers in .*, expected one kind"),
        ([1.5], "'channel' is a list of floats, expected text or whole numbers to make slices of"),
        ([b"\xff"], r"'channel' is b'\\xff', expected UTF-8 text to make slices of"),
        (
            [f"{number}".encode() for number in range(1001)],
            "'channel' has more than 1,000 values, each would",
        ),
    ],
)
def test_a_feature_that_cannot_make_slices_is_refused_before_training(
    tmp_path, write_shard, video_record, ingest, channels, message
):
    for shard in range(4):
        records = [video_record(f"{shard}{n:05d}", channel=channel) for n, channel in enumerate(channels[shard::4])]
        write_shard(tmp_path / "data" / f"{shard}.tfrecord", records or [video_record(f"good{shard}")])
    with pytest.raises(InputError, match=message):
        ingest(tmp_path / "data", level="video", kept_features='["channel"]')


def test_a_feature_that_no_record_has_is_refused_before_training(shards, ingest):
    with pytest.raises(InputError, match=r"^evaluation.slices: no record has a value of the feature 'chanel': leave"):
        ingest(shards, kept_features='["chanel"]')
