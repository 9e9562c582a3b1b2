"""Validation and test data of their own: what is left of the data to split, and what is refused before the ingest."""

import os
from pathlib import Path

import pytest
import tensorflow as tf

from components.example_gen.component import ExampleGenDriver, read_summary, resolve_data
from components.example_gen.splits import SPLITS
from models.errors import InputError


def ids(examples):
    """Split -> ids of its videos."""
    videos = {}
    for split in SPLITS:
        records = tf.data.TFRecordDataset(sorted(Path(examples.uri, f"Split-{split}").glob("*")))
        features = (tf.train.Example.FromString(raw.numpy()).features.feature for raw in records)
        videos[split] = {feature["id"].bytes_list.value[0].decode() for feature in features}
    return videos


@pytest.fixture
def write(tmp_path, write_shard, video_record):
    """`(name, *ids)` writes a shard of these videos; returns its path."""
    return lambda name, *videos: str(write_shard(tmp_path / name, [video_record(video, [1]) for video in videos]))


@pytest.fixture
def data(tmp_path, write):
    """A folder of five shards, two videos each: a0, a1, b0 ... e1."""
    for shard in "abcde":
        write(f"data/{shard}.tfrecord", f"{shard}0", f"{shard}1")
    return str(tmp_path / "data")


def test_validation_data_are_the_validation_split_and_data_are_split_into_train_and_test(data, write, ingest):
    validation_data = write("held/v.tfrecord", "v0", "v1")
    examples, _ = ingest(data, level="video", validation_data=validation_data, split="file:60/40")
    by_file = ids(examples)
    assert by_file["validation"] == {"v0", "v1"}
    assert {split: len(by_file[split]) for split in ("train", "test")} == {"train": 6, "test": 4}
    examples, _ = ingest(data, level="video", validation_data=validation_data, split="id:50/50")
    by_id = ids(examples)
    assert by_id["validation"] == {"v0", "v1"} and by_id["train"] and len(by_id["train"] | by_id["test"]) == 10


@pytest.mark.parametrize("split", ["file:100", "id:100"])
def test_with_validation_and_test_data_all_data_are_training_data(write, ingest, split):
    data, validation_data = write("data/a.tfrecord", "a0", "a1"), write("held/v.tfrecord", "v0")
    test_data = write("held/t.tfrecord", "t0", "t1")
    examples, quarantine = ingest(
        data, level="video", validation_data=validation_data, test_data=test_data, split=split
    )
    assert ids(examples) == {"train": {"a0", "a1"}, "validation": {"v0"}, "test": {"t0", "t1"}}
    assert examples.get_int_custom_property("validation_videos") == 1
    assert read_summary(quarantine.uri).duplicates == {}


def test_a_video_in_two_splits_is_counted(data, write, ingest):
    _, quarantine = ingest(
        data,
        level="video",
        split="file:100",
        validation_data=write("held/v.tfrecord", "a0", "v0", "b0"),
        test_data=write("held/t.tfrecord", "v0", "t0"),
    )
    assert read_summary(quarantine.uri).duplicates == {"train and validation": 2, "test and validation": 1}


def test_rejected_records_of_validation_data_are_in_the_quarantine(data, tmp_path, write_shard, video_record, ingest):
    path = write_shard(tmp_path / "held" / "v.tfrecord", [video_record("v0", [1]), video_record("v1", [])])
    properties = {"level": "video", "split": "file:60/40", "validation_data": str(path)}
    _, quarantine = ingest(data, **properties, quarantine_limit=0.5)
    assert [line.partition(": ")[0] for line in read_summary(quarantine.uri).first_quarantined] == [f"{path}, record 1"]
    with pytest.raises(InputError, match="1 of 12 records rejected, more than quarantine_limit"):
        ingest(data, **properties)


def test_each_pattern_stands_for_its_own_newest_spans(tmp_path, write, ingest):
    for span in (1, 2):
        for shard in "ab":
            write(f"data/span-{span}/{shard}.tfrecord", f"{span}{shard}")
    for span in (1, 2, 7):
        write(f"held/span-{span}/v.tfrecord", f"v{span}")
    patterns = {"validation_data": f"{tmp_path}/held/span-{{SPAN}}", "split": "file:50/50", "level": "video"}
    newest, _ = ingest(f"{tmp_path}/data/span-{{SPAN}}", **patterns)
    assert ids(newest)["validation"] == {"v7"} and newest.get_int_custom_property("span") == 2
    two, _ = ingest(f"{tmp_path}/data/span-{{SPAN}}", **patterns, spans=2)
    splits = ids(two)
    assert splits["validation"] == {"v2", "v7"}
    # Each span is split by itself, into train and test.
    assert [{video[0] for video in splits[split]} for split in ("train", "test")] == [{"1", "2"}] * 2


REFUSED = [
    ({"validation_data": "{tmp}/held/none*"}, "validation_data: no file matches '{tmp}/held/none*'"),
    ({"validation_data": "{tmp}/frames"}, "validation_data: {tmp}/frames/f.tfrecord holds frame-level records, the"),
    ({"validation_data": "{tmp}/data/[ab].tfrecord"}, "validation_data: '{tmp}/data/a.tfrecord' is in data too: "),
    ({"test_data": "{tmp}/data"}, "test_data: '{tmp}/data/a.tfrecord' is in data too: a file belongs to one split"),
    (
        {"validation_data": "{tmp}/held/v.tfrecord", "test_data": "{tmp}/held", "split": "file:100"},
        "test_data: '{tmp}/held/v.tfrecord' is in validation_data too: a file belongs to one split",
    ),
    ({"validation_data": "{tmp}/linked"}, "'{tmp}/linked/x.tfrecord' is in data too, as '{tmp}/data/a.tfrecord': a"),
    (
        {"validation_data": "{tmp}/held", "split": "file:80/10/10"},
        "split is 'file:80/10/10', allowed with validation data: file:90/10 or id:90/10",
    ),
    ({"data": "{tmp}/data/a*", "validation_data": "{tmp}/held"}, "needs at least 2 files, found 1: use id:60/40"),
]


@pytest.mark.parametrize(("properties", "message"), REFUSED, ids=range(len(REFUSED)))
def test_data_that_cannot_be_a_split_are_refused_before_the_ingest(
    data, tmp_path, write, write_shard, frame_record, properties, message
):
    write("held/v.tfrecord", "v0")
    write_shard(tmp_path / "frames" / "f.tfrecord", [frame_record()])
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "x.tfrecord").symlink_to(tmp_path / "data" / "a.tfrecord")
    given = {"data": data, "validation_data": "", "test_data": "", "spans": 1, "split": "file:60/40", "seed": 0}
    given |= {key: value.replace("{tmp}", str(tmp_path)) for key, value in properties.items()}
    with pytest.raises(InputError) as error:
        resolve_data(**given, level="video")
    assert message.replace("{tmp}", str(tmp_path)) in str(error.value) and "\n" not in str(error.value)


def test_a_changed_shard_of_the_validation_data_changes_the_cache_key(data, write):
    def key():
        properties = {"data": data, "validation_data": path, "test_data": "", "split": "file:60/40"}
        return ExampleGenDriver(None).resolve({}, properties | {"spans": 1, "seed": 0, "level": "video"})

    path = write("held/v.tfrecord", "v0")
    before = key()
    assert key() == before
    os.remove(path)
    write("held/v.tfrecord", "v0", "v1")
    assert key() != before
