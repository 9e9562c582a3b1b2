"""`yt8m stats`: counts as plain TensorFlow finds them, bad records and repeated ids named, TFX not loaded."""

import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import tensorflow as tf

from components.dataset_statistics.statistics import Statistics
from components.example_gen.splits import SPLITS, SplitPolicy
from models.errors import InputError
from pipeline.command_line import yt8m

YT8M = Path(sys.executable).with_name("yt8m")


def stats(data, out, *arguments):
    """Runs the command in this process and returns what it wrote."""
    yt8m.main(["stats", "--data", str(data), "--out", str(out), *arguments], standalone_mode=False)
    return Statistics.read(str(out))


@pytest.fixture
def shards(tmp_path, write_shard, video_record):
    """Six shards of eight videos of the labels 0 to 4, with a vocabulary."""
    for shard in range(6):
        records = [video_record(f"{shard}{number:03d}", [number % 4, 4]) for number in range(8)]
        write_shard(tmp_path / "data" / f"train{shard:04d}.tfrecord", records)
    rows = "".join(f"{label},[red]name {label}[/red]\n" for label in range(6))
    (tmp_path / "data" / "vocabulary.csv").write_text(f"Index,Name\n{rows}")
    return tmp_path / "data"


def test_every_video_is_counted_in_its_split(shards, tmp_path, capsys):
    found = stats(shards, tmp_path / "out", "--split", "id:50/25/25")
    policy = SplitPolicy.parse("id:50/25/25", False)
    ids = [f"{shard}{number:03d}".encode() for shard in range(6) for number in range(8)]
    assert {split: found.splits[split].videos for split in SPLITS} == Counter(map(policy.of_id, ids))
    frequency = [sum(split.label_frequency[label] for split in found.splits.values()) for label in range(6)]
    assert frequency == [12, 12, 12, 12, 48, 0]
    assert found.splits["train"].absent_labels == ("[red]name 5[/red]",)
    shown = capsys.readouterr().out
    assert "Statistics of the data, video level" in shown and "page: " in shown
    assert "48 (" not in shown and "[red]name" in shown  # names are text, not markup
    files = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()}
    figures = {f"figures/label-frequency-{split}.{ending}" for split in SPLITS for ending in ("png", "svg")}
    assert files == {"statistics.json", "statistics.html"} | figures


def test_the_splits_and_numbers_are_the_same_every_time(shards, tmp_path):
    first, second = (stats(shards, tmp_path / name, "--seed", "3") for name in ("a", "b"))
    assert first == second and {split.videos for split in first.splits.values()} == {32, 8}
    for name in ("statistics.json", "statistics.html", "figures/label-frequency-train.svg"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert first != stats(shards, tmp_path / "c", "--seed", "4")


def test_test_data_are_the_test_split(shards, tmp_path, write_shard, video_record):
    write_shard(tmp_path / "test" / "a.tfrecord", [video_record("test", [2])])
    found = stats(shards, tmp_path / "out", "--test-data", str(tmp_path / "test"))
    assert [found.splits[split].videos for split in SPLITS] == [40, 8, 1]


def test_bad_records_and_repeated_ids_are_counted_and_named(shards, tmp_path, write_shard, video_record, frame_record):
    bad = [
        video_record("bad0", [6]),
        frame_record("bad1"),
        b"\x0a\xff",
        video_record("0000", [1]),
        video_record("new1"),
    ]
    path = write_shard(shards / "bad.tfrecord", bad)
    path.write_bytes(path.read_bytes()[:-9])  # cuts new1 off
    found = stats(shards, tmp_path / "out", "--split", "id:50/25/25")
    assert found.ingest.quarantined == 4 and sum(split.videos for split in found.splits.values()) == 49
    home = SplitPolicy.parse("id:50/25/25", False).of_id(b"0000")
    assert found.ingest.duplicates == {f"within {home}": 1}
    lines = (tmp_path / "out" / "bad_records.jsonl").read_text().splitlines()
    assert [(json.loads(line)["file"], json.loads(line)["record"]) for line in lines] == [
        (str(path), number) for number in (0, 1, 2, 4)
    ]
    assert "label 6 is outside the vocabulary" in json.loads(lines[0])["reason"]
    page = (tmp_path / "out" / "statistics.html").read_text()
    assert "bad_records.jsonl" in page and "label 6 is outside the vocabulary" in page


def test_a_video_in_two_splits_is_reported(shards, tmp_path, write_shard, video_record):
    test_data = write_shard(tmp_path / "again" / "a.tfrecord", [video_record(f"{n}000") for n in range(6)])
    found = stats(shards, tmp_path / "out", "--test-data", str(test_data), "--split", "file:50/50")
    assert found.ingest.duplicates == {"test and train": 3, "test and validation": 3}


def test_labels_that_differ_between_splits_are_named(shards, tmp_path, write_shard, video_record, capsys):
    other = [video_record(f"t{number:03d}", [5, number % 4]) for number in range(40)]
    test_data = write_shard(tmp_path / "test" / "a.tfrecord", other)
    found = stats(shards, tmp_path / "out", "--test-data", str(test_data))
    assert {(label.id, label.split) for label in found.agreement.differences} >= {(4, "test"), (5, "test")}
    assert "train and test differ more than chance explains" in capsys.readouterr().out
    page = (tmp_path / "out" / "statistics.html").read_text()
    assert "validation and test differ more than chance explains" in page
    assert '<td class="number">100.000%</td><td class="number">0.000%</td>' in page  # label 5, in the test split only


def test_a_split_without_videos_is_shown_as_empty(shards, tmp_path):
    found = stats(shards, tmp_path / "out", "--split", "id:10000/1/1")
    assert [split.videos for split in found.splits.values()] == [48, 0, 0]
    assert found.splits["test"].labels_a_video is None and found.agreement.distances == ()
    assert "Do the splits agree?" not in (tmp_path / "out" / "statistics.html").read_text()


def test_the_same_command_prints_json(shards, tmp_path, capsys):
    found = stats(shards, tmp_path / "out", "--json")
    assert Statistics.model_validate_json(capsys.readouterr().out) == found


def test_synthetic_data_are_called_synthetic(shards, tmp_path, capsys):
    (shards / "oracle.json").write_text('{"synthetic": true}')
    stats(shards, tmp_path / "out")
    assert "Statistics of the synthetic data" in capsys.readouterr().out
    assert "Synthetic data." in (tmp_path / "out" / "statistics.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "nowhere"], "data: no file matches"),
        (["--data", "data/train0000.tfrecord"], "split by file needs at least 3 files, found 1: use id:80/10/10"),
        (["--data", "data", "--split", "half"], "split is 'half', allowed: file:80/10/10"),
        (["--data", "data", "--vocabulary", "no.csv"], "vocabulary: cannot read"),
        (["--data", "data", "--test-data", "frames"], "holds frame-level records, data video-level ones"),
        (["--data", "bad", "--split", "id:1/1/1"], "none of 1 records can be used, first: "),
        (["--data", "data", "--out", "data/vocabulary.csv"], "--out is 'data/vocabulary.csv': File exists, expected a"),
    ],
)
def test_a_mistake_is_said_in_one_line(shards, tmp_path, monkeypatch, arguments, message, write_shard, frame_record):
    write_shard(tmp_path / "frames" / "a.tfrecord", [frame_record()])
    write_shard(tmp_path / "bad" / "a.tfrecord", [frame_record(labels=[])])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as error:
        yt8m.main(["stats", *arguments], standalone_mode=False)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_a_split_that_does_not_exist_is_refused_within_a_second(tmp_path):
    started = time.monotonic()
    found = subprocess.run(
        [YT8M, "stats", "--data", "x", "--split", "half"], cwd=tmp_path, capture_output=True, text=True
    )
    assert found.returncode == 2 and found.stderr.startswith("error: split is 'half'") and not list(tmp_path.iterdir())
    assert time.monotonic() - started < 1


def test_tfx_is_not_loaded(shards, tmp_path):
    program = (
        "import sys\nfrom pipeline.command_line import yt8m\n"
        f"yt8m.main(['stats', '--data', {str(shards)!r}, '--out', {str(tmp_path / 'out')!r}], standalone_mode=False)\n"
        "loaded = {name.partition('.')[0] for name in sys.modules}\n"
        "sys.exit(str(loaded & {'tfx', 'tensorflow_data_validation', 'tensorflow_transform', 'ml_metadata'}))"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert found.stderr.splitlines()[-1] == "set()"


def test_real_shards_are_counted_as_plain_tensorflow_counts_them(real_data, tmp_path):
    vocabulary = ["--vocabulary", str(real_data / "vocabulary" / "vocabulary.csv")]
    found = stats(
        real_data / "video" / "validate000[0-5].tfrecord", tmp_path / "out", "--split", "id:80/10/10", *vocabulary
    )
    policy = SplitPolicy.parse("id:80/10/10", False)
    videos, labels = Counter(), {split: Counter() for split in SPLITS}
    means = dict.fromkeys(SPLITS, 0.0)
    spec = {"id": tf.io.FixedLenFeature([], tf.string), "labels": tf.io.VarLenFeature(tf.int64)}
    spec["mean_audio"] = tf.io.FixedLenFeature([128], tf.float32)
    for raw in tf.data.TFRecordDataset(sorted((real_data / "video").glob("validate000[0-5].tfrecord"))):
        video = tf.io.parse_single_example(raw, spec)
        split = policy.of_id(video["id"].numpy())
        videos[split] += 1
        labels[split].update(video["labels"].values.numpy().tolist())
        means[split] += video["mean_audio"].numpy()[-1].astype(float)
    for name, split in found.splits.items():
        assert split.videos == videos[name]
        assert dict(enumerate(split.label_frequency)) == {label: labels[name][label] for label in range(3862)}
        assert split.max_frequency.videos == labels[name].most_common(1)[0][1]
        assert split.labels_a_video.mean == pytest.approx(labels[name].total() / videos[name])
        assert split.features.mean[-1] == pytest.approx(means[name] / videos[name], abs=1e-9)
    assert found.splits["train"].max_frequency.labels == ("Game",)
