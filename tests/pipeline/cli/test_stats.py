"""`yt8m stats`: counts equal to plain TensorFlow's, rejected records and repeated ids named, TFX not loaded."""

import json
import shutil
import subprocess
import sys
from collections import Counter
from contextlib import redirect_stdout
from functools import partial
from io import StringIO

import pytest
import tensorflow as tf

from components.dataset_statistics.raw_shards import counted_by_beam
from components.dataset_statistics.statistics import Statistics
from components.example_gen.splits import SPLITS, SplitPolicy
from models.errors import InputError
from pipeline.cli import yt8m as command
from pipeline.steps import PAGES


def stats(data, out, *arguments):
    """Runs the command in this process; returns the statistics and the output."""
    with redirect_stdout(StringIO()) as printed:
        command.main(["stats", "--data", str(data), "--out", str(out), *arguments], standalone_mode=False)
    return Statistics.read(str(out)), printed.getvalue()


@pytest.fixture(scope="module")
def shards(tmp_path_factory, write_shard, video_record):
    """Six shards of eight videos with the labels 0 to 4, and a vocabulary."""
    folder = tmp_path_factory.mktemp("shards") / "data"
    for shard in range(6):
        records = [video_record(f"{shard}{number:03d}", [number % 4, 4]) for number in range(8)]
        write_shard(folder / f"train{shard:04d}.tfrecord", records)
    rows = "".join(f"{label},[red]name {label}[/red]\n" for label in range(6))
    (folder / "vocabulary.csv").write_text(f"Index,Name\n{rows}")
    return folder


def test_every_video_is_counted_in_its_split(shards, tmp_path):
    statistics, printed = stats(shards, tmp_path, "--split", "id:50/25/25")
    policy = SplitPolicy.parse("id:50/25/25")
    ids = [f"{shard}{number:03d}".encode() for shard in range(6) for number in range(8)]
    assert {split: statistics.splits[split].videos for split in SPLITS} == Counter(map(policy.of_id, ids))
    frequency = [sum(split.label_frequency[label] for split in statistics.splits.values()) for label in range(6)]
    assert frequency == [12, 12, 12, 12, 48, 0]
    assert statistics.splits["train"].absent_labels == ("[red]name 5[/red]",)
    assert "Statistics of the data, video level" in printed and "page: " in printed
    assert "48 (" not in printed and "[red]name" in printed  # names are text, not markup
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    figures = {f"figures/label-frequency-{split}.{ending}" for split in SPLITS for ending in ("png", "svg")}
    assert files == {"statistics.json", PAGES["statistics"].file} | figures


def test_the_splits_and_numbers_are_the_same_every_time_and_json_is_printed_without_loading_tfx(shards, tmp_path):
    first, _ = stats(shards, tmp_path / "a", "--seed", "3")
    program = (
        "import sys\nfrom pipeline.cli import yt8m\n"
        f"yt8m.main(['stats', '--data', {str(shards)!r}, '--out', 'b', '--seed', '3', '--json'], "
        "standalone_mode=False)\n"
        "sys.exit(str(set(sys.modules) & {'tfx', 'tensorflow_data_validation', 'tensorflow_transform', 'ml_metadata'}))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert done.stderr == "set()\n"
    second = Statistics.read(str(tmp_path / "b"))
    assert first == second == Statistics.model_validate_json(done.stdout)
    assert {split.videos for split in first.splits.values()} == {32, 8}
    for name in ("statistics.json", "statistics.html", "figures/label-frequency-train.svg"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert first != stats(shards, tmp_path / "c", "--seed", "4")[0]


@pytest.fixture(scope="module")
def tested(shards, tmp_path_factory, write_shard, video_record):
    """Statistics, output and page, with test data of other labels that repeat a video of each shard."""
    folder = tmp_path_factory.mktemp("tested")
    records = [video_record(f"t{number:03d}", [5, number % 4]) for number in range(40)]
    records += [video_record(f"{shard}000", [5]) for shard in range(6)]
    write_shard(folder / "test" / "a.tfrecord", records)
    statistics, printed = stats(shards, folder / "out", "--test-data", str(folder / "test"))
    return statistics, printed, (folder / "out" / "statistics.html").read_text()


def test_test_data_are_the_test_split(tested):
    assert [tested[0].splits[split].videos for split in SPLITS] == [40, 8, 46]


def test_with_validation_and_test_data_all_data_are_training_data(shards, tmp_path, write_shard, video_record):
    for name, ids in {"validation": ("v0", "0000"), "test": ("t0", "t1", "v0")}.items():
        write_shard(tmp_path / name / "a.tfrecord", [video_record(video, [1]) for video in ids])
    own = ["--validation-data", f"{tmp_path}/validation", "--test-data", f"{tmp_path}/test"]
    statistics, printed = stats(shards, tmp_path / "out", *own)
    assert [statistics.splits[split].videos for split in SPLITS] == [48, 2, 3]
    assert "1 id found more than once: train and validation" in printed
    assert "1 id found more than once: test and validation" in printed


def test_a_video_in_two_splits_is_reported(tested):
    assert tested[0].ingest.duplicates == {"test and train": 5, "test and validation": 1}


def test_labels_that_differ_between_splits_are_named(tested):
    statistics, printed, page = tested
    assert {(label.id, label.split) for label in statistics.agreement.differences} >= {(4, "test"), (5, "test")}
    assert "train and test differ more than chance explains" in printed
    assert "validation and test differ more than chance explains" in page
    assert '<td class="number">100.000%</td><td class="number">0.000%</td>' in page  # label 5, in the test split only


def test_rejected_records_and_repeated_ids_are_counted_and_named(
    shards, tmp_path, write_shard, video_record, frame_record
):
    bad = [
        video_record("bad0", [6]),
        frame_record("bad1"),
        b"\x0a\xff",
        video_record("0000", [1]),
        video_record("new1"),
    ]
    data = shutil.copytree(shards, tmp_path / "data")
    path = write_shard(data / "bad.tfrecord", bad)
    path.write_bytes(path.read_bytes()[:-9])  # cuts new1 off
    statistics, _ = stats(data, tmp_path / "out", "--split", "id:50/25/25")
    assert statistics.ingest.quarantined == 4 and sum(split.videos for split in statistics.splits.values()) == 49
    home = SplitPolicy.parse("id:50/25/25").of_id(b"0000")
    assert statistics.ingest.duplicates == {f"within {home}": 1}
    lines = (tmp_path / "out" / "bad_records.jsonl").read_text().splitlines()
    assert [(json.loads(line)["file"], json.loads(line)["record"]) for line in lines] == [
        (str(path), number) for number in (0, 1, 2, 4)
    ]
    assert "label 6 is outside the vocabulary" in json.loads(lines[0])["reason"]
    page = (tmp_path / "out" / "statistics.html").read_text()
    assert "bad_records.jsonl" in page and "label 6 is outside the vocabulary" in page


def test_splits_without_videos_are_shown_as_empty_and_synthetic_data_are_called_so(shards, tmp_path):
    data = shutil.copytree(shards, tmp_path / "data")
    (data / "oracle.json").write_text('{"synthetic": true}')
    statistics, printed = stats(data, tmp_path / "out", "--split", "id:10000/1/1")
    assert [split.videos for split in statistics.splits.values()] == [48, 0, 0]
    assert statistics.splits["test"].labels_a_video is None and statistics.agreement.distances == ()
    page = (tmp_path / "out" / "statistics.html").read_text()
    assert "Do the splits agree?" not in page
    assert "Statistics of the synthetic data" in printed and "Synthetic data." in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "nowhere"], "data: no file matches"),
        (["--data", "data/train0000.tfrecord"], "split by file needs at least 3 files, found 1: use id:80/10/10"),
        (["--data", "data", "--split", "half"], "split is 'half', allowed: file:80/10/10"),
        (["--data", "data", "--vocabulary", "no.csv"], "vocabulary: cannot read"),
        (["--data", "data", "--test-data", "frames"], "test_data: {tmp}/frames holds frame-level records, data video-"),
        (["--data", "data", "--validation-data", "frames"], "validation_data: {tmp}/frames holds frame-level records"),
        (["--data", "data", "--validation-data", "none"], "validation_data: no file matches '{tmp}/none'"),
        (["--data", "data", "--test-data", "data/*1.*"], "test_data: '{tmp}/data/train0001.tfrecord' is in data too"),
        (["--data", "bad", "--split", "id:1/1/1"], "no usable record (1 read), first: "),
        (["--data", "data", "--out", "data/vocabulary.csv"], "--out is 'data/vocabulary.csv': File exists, expected a"),
    ],
)
def test_a_mistake_is_one_line(yt8m, shards, tmp_path, monkeypatch, arguments, message, write_shard, frame_record):
    (tmp_path / "data").symlink_to(shards)
    write_shard(tmp_path / "frames" / "a.tfrecord", [frame_record()])
    write_shard(tmp_path / "bad" / "a.tfrecord", [frame_record(labels=[])])
    monkeypatch.chdir(tmp_path)
    answer = yt8m("stats", *arguments)
    assert (answer.code, answer.out) == (2, "")
    assert (
        answer.err.startswith("error: ")
        and message.replace("{tmp}", str(tmp_path)) in answer.err
        and answer.err.count("\n") == 1
    )


def test_a_split_that_does_not_exist_is_refused_before_anything_is_written(yt8m, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answer = yt8m("stats", "--data", "x", "--split", "half")
    assert answer.code == 2 and answer.err.startswith("error: split is 'half'") and not list(tmp_path.iterdir())


def test_real_shards_are_counted_as_plain_tensorflow_counts_them(real_data, tmp_path):
    vocabulary = ["--vocabulary", str(real_data / "vocabulary" / "vocabulary.csv")]
    statistics, _ = stats(
        real_data / "video" / "validate000[01].tfrecord", tmp_path / "out", "--split", "id:80/10/10", *vocabulary
    )
    policy = SplitPolicy.parse("id:80/10/10")
    videos, labels = Counter(), {split: Counter() for split in SPLITS}
    means = dict.fromkeys(SPLITS, 0.0)
    spec = {"id": tf.io.FixedLenFeature([], tf.string), "labels": tf.io.VarLenFeature(tf.int64)}
    spec["mean_audio"] = tf.io.FixedLenFeature([128], tf.float32)
    for raw in tf.data.TFRecordDataset(sorted((real_data / "video").glob("validate000[01].tfrecord"))):
        video = tf.io.parse_single_example(raw, spec)
        split = policy.of_id(video["id"].numpy())
        videos[split] += 1
        labels[split].update(video["labels"].values.numpy().tolist())
        means[split] += video["mean_audio"].numpy()[-1].astype(float)
    for name, split in statistics.splits.items():
        assert split.videos == videos[name]
        assert dict(enumerate(split.label_frequency)) == {label: labels[name][label] for label in range(3862)}
        assert split.max_frequency.videos == labels[name].most_common(1)[0][1]
        assert split.labels_a_video.mean == pytest.approx(labels[name].total() / videos[name])
        assert split.features.mean[-1] == pytest.approx(means[name] / videos[name], abs=1e-9)
    assert statistics.splits["train"].max_frequency.labels == ("Game",)


def test_labels_that_are_a_vector_are_refused(tmp_path, write_shard, video_record):
    for shard in range(3):
        records = [video_record(f"{shard}{number:03d}", [0] * number + [1] * (6 - number)) for number in range(4)]
        write_shard(tmp_path / "data" / f"{shard}.tfrecord", records)
    (tmp_path / "data" / "vocabulary.csv").write_text("Index,Name\n" + "".join(f"{n},n{n}\n" for n in range(6)))
    with pytest.raises(InputError, match="labels of all 12 videos are a 0 or 1 for each label, expected ids"):
        stats(tmp_path / "data", tmp_path / "out")


def test_counting_by_beam_gives_the_same_bytes(shards, tmp_path, monkeypatch):
    stats(shards, tmp_path / "here")
    monkeypatch.setattr(
        "pipeline.data.statistics.counted_here",
        partial(counted_by_beam, arguments=["--runner=FnApiRunner"], folder=str(tmp_path / "there")),
    )
    stats(shards, tmp_path / "there")
    name = "statistics.json"
    assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "there" / name).read_bytes()
    assert not (tmp_path / "there" / "writing").exists()


def test_settings_without_an_engine_have_no_effect(shards, tmp_path):
    with pytest.raises(InputError, match=r"--set without an engine has no effect, allowed: beam.runner=PortableRunner"):
        stats(shards, tmp_path, "--set", "beam.workers=2")
    with pytest.raises(InputError, match="training is not a setting, allowed: beam"):
        stats(shards, tmp_path, "--set", "training.max_epochs=2")
