"""Synthetic datasets: the published wire format, names and vocabulary; determinism; refusals."""

import csv
import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from components.example_gen.input_files import find_files
from models.errors import InputError
from models.features import Level
from pipeline.data.oracle_file import read_oracle_file
from pipeline.data.synthetic_data import RECORD_BYTES, _video_id, write_dataset
from pipeline.data.synthetic_videos import Oracle, World

VIDEOS, LABELS, SEED = 40, 7, 3
REAL_DATA = Path(os.environ.get("YT8M_DATA", Path(__file__).parents[4] / "shared" / "data"))
REAL_SHARDS: dict[Level, str] = {"video": "video/validate*.tfrecord", "frame": "frame/*.tfrecord"}


def records_of(folder: Path) -> list[bytes]:
    """All records in the order they were written; the reader checks their CRCs."""
    files = sorted(str(file) for file in folder.glob("*.tfrecord"))
    return list(tf.data.TFRecordDataset(files).as_numpy_iterator())


def ids_of(folder: Path) -> list[bytes]:
    examples = map(tf.train.SequenceExample.FromString, records_of(folder))
    return [example.context.feature["id"].bytes_list.value[0] for example in examples]


def frames_of(folder: Path) -> list[bytes]:
    examples = map(tf.train.SequenceExample.FromString, records_of(folder))
    return [example.feature_lists.SerializeToString(deterministic=True) for example in examples]


def contents_of(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def fields_of(message: bytes) -> list[int]:
    """Numbers of the length-delimited fields of a message, in wire order."""
    numbers, at = [], 0
    while at < len(message):
        assert message[at] & 7 == 2
        numbers.append(message[at] >> 3)
        at, length, shift = at + 1, 0, 0
        while True:
            length |= (message[at] & 127) << shift
            shift, at = shift + 7, at + 1
            if message[at - 1] < 128:
                break
        at += length
    assert at == len(message)
    return numbers


def form_of(record: bytes) -> dict[str, object]:
    """The structure of a record: fields, keys, types and numbers of values."""

    def of_feature(feature: tf.train.Feature) -> tuple[str, int, set[int]]:
        kind = feature.WhichOneof("kind")
        values = getattr(feature, kind).value
        return kind, len(values), {len(value) for value in values} if kind == "bytes_list" else set()

    example = tf.train.SequenceExample.FromString(record)
    context = {key: of_feature(feature) for key, feature in example.context.feature.items()}
    lists = {key: list(map(of_feature, value.feature)) for key, value in example.feature_lists.feature_list.items()}
    assert context["labels"][1] > 0
    context["labels"] = (context["labels"][0], 0, set())
    lengths = {len(features) for features in lists.values()}
    assert all(20 <= length <= 300 for length in lengths)
    return {
        "fields": fields_of(record),
        "context": context,
        "lists": {key: features[0] for key, features in lists.items()},
        "uniform": all(feature == features[0] for features in lists.values() for feature in features),
        "streams of equal length": len(lengths) <= 1,
        "ends in an empty field": record.endswith(b"\x12\x00"),
    }


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[Level, Path]:
    folder = tmp_path_factory.mktemp("synthetic")
    paths: dict[Level, Path] = {"frame": folder / "frame", "video": folder / "video"}
    for level, path in paths.items():
        write_dataset(path, level, VIDEOS, LABELS, SEED)
    return paths


@pytest.mark.parametrize("level", ["frame", "video"])
def test_records_have_the_published_form(folders: dict[Level, Path], level: Level) -> None:
    context: dict[str, tuple[str, int, set[int]]] = {"id": ("bytes_list", 1, {4}), "labels": ("int64_list", 0, set())}
    lists = {}
    if level == "video":
        context |= {"mean_rgb": ("float_list", 1024, set()), "mean_audio": ("float_list", 128, set())}
    else:
        lists = {"rgb": ("bytes_list", 1, {1024}), "audio": ("bytes_list", 1, {128})}
    published = {
        "fields": [1, 2],
        "context": context,
        "lists": lists,
        "uniform": True,
        "streams of equal length": True,
        "ends in an empty field": level == "video",
    }
    forms = [form_of(record) for record in records_of(folders[level])]
    assert forms == [published] * VIDEOS
    real = sorted(REAL_DATA.glob(REAL_SHARDS[level]))
    if not real:
        pytest.skip("compared with the written description only: no real shards in the folder named by YT8M_DATA")
    assert all(form_of(record) == published for record in tf.data.TFRecordDataset(str(real[0])).as_numpy_iterator())


def test_tensorflow_parses_both_levels(folders: dict[Level, Path]) -> None:
    context = {"id": tf.io.FixedLenFeature([], tf.string), "labels": tf.io.VarLenFeature(tf.int64)}
    lists = {name: tf.io.FixedLenSequenceFeature([], tf.string) for name in ("rgb", "audio")}
    means = {"mean_rgb": tf.io.FixedLenFeature([1024], tf.float32), "mean_audio": tf.io.FixedLenFeature([128], "float")}
    frame_context, frames, lengths = tf.io.parse_sequence_example(records_of(folders["frame"]), context, lists)
    videos = tf.io.parse_example(records_of(folders["video"]), {**context, **means})
    assert frame_context["id"].numpy().tolist() == videos["id"].numpy().tolist()
    assert len(set(videos["id"].numpy())) == VIDEOS
    labels = tf.sparse.to_dense(videos["labels"], -1).numpy()
    np.testing.assert_array_equal(tf.sparse.to_dense(frame_context["labels"], -1), labels)
    assert labels.max() < LABELS and (labels >= 0).any(axis=1).all()

    for number in range(VIDEOS):
        length = lengths["rgb"][number].numpy()
        assert length == lengths["audio"][number].numpy()
        for name in ("rgb", "audio"):
            steps = tf.io.decode_raw(frames[name][number, :length], tf.uint8).numpy().astype(np.float64)
            mean = (steps * 4 / 255 + 4 / 512 - 2).mean(axis=0)
            np.testing.assert_allclose(videos[f"mean_{name}"][number], mean, rtol=0, atol=1e-6)


def test_shards_are_named_as_published_and_hold_equal_numbers(folders: dict[Level, Path]) -> None:
    shards = sorted(path.name for path in folders["frame"].glob("*.tfrecord"))
    assert shards == [f"train{number:04d}.tfrecord" for number in range(8)] + [
        "validate0000.tfrecord",
        "validate0001.tfrecord",
    ]
    counts = [len(list(tf.data.TFRecordDataset(str(folders["frame"] / name)))) for name in shards]
    assert counts == [VIDEOS // 10] * 10
    assert set(contents_of(folders["frame"])) == {*shards, "vocabulary.csv", "oracle.json"}


def test_the_same_seed_writes_the_same_bytes(folders: dict[Level, Path], tmp_path: Path) -> None:
    write_dataset(tmp_path / "again", "frame", VIDEOS, LABELS, SEED)
    write_dataset(tmp_path / "other", "frame", VIDEOS, LABELS, SEED + 1)
    assert contents_of(tmp_path / "again") == contents_of(folders["frame"])
    # Without sorting, another process would order the keys of a map differently.
    for record in records_of(folders["video"]):
        assert tf.train.SequenceExample.FromString(record).SerializeToString(deterministic=True) == record
    assert not {*ids_of(tmp_path / "other")} & {*ids_of(folders["frame"])}
    assert not {*frames_of(tmp_path / "other")} & {*frames_of(folders["frame"])}


def test_the_number_of_shards_and_of_videos_changes_no_video(folders: dict[Level, Path], tmp_path: Path) -> None:
    write_dataset(tmp_path / "fewer", "video", VIDEOS // 2, LABELS, SEED, shards=3)
    shards = [file.name for file in sorted((tmp_path / "fewer").glob("*.tfrecord"))]
    assert shards == ["train0000.tfrecord", "train0001.tfrecord", "validate0000.tfrecord"]
    assert records_of(tmp_path / "fewer") == records_of(folders["video"])[: VIDEOS // 2]


def test_the_vocabulary_counts_the_videos_of_the_train_shards(folders: dict[Level, Path]) -> None:
    with (folders["video"] / "vocabulary.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    real = "Index TrainVideoCount KnowledgeGraphId Name WikiUrl Vertical1 Vertical2 Vertical3 WikiDescription"
    assert list(rows[0]) == real.split()
    counts = [0] * LABELS
    for record in tf.data.TFRecordDataset([str(path) for path in folders["video"].glob("train*")]).as_numpy_iterator():
        for label in tf.train.SequenceExample.FromString(record).context.feature["labels"].int64_list.value:
            counts[label] += 1
    assert {int(row["Index"]): int(row["TrainVideoCount"]) for row in rows} == dict(enumerate(counts))
    in_order = [int(row["TrainVideoCount"]) for row in rows]
    assert in_order == sorted(in_order, reverse=True) and in_order[0] > 0
    assert all(row["Name"] == f"Synthetic label {row['Index']}" for row in rows)


def test_the_oracle_file_describes_the_data_and_the_oracles_scores(folders: dict[Level, Path]) -> None:
    frame, video = (json.loads((folders[level] / "oracle.json").read_text()) for level in ("frame", "video"))
    assert frame["oracle"] == video["oracle"]
    assert frame["synthetic"] is True
    numbers = {key: frame[key] for key in ("level", "videos", "labels", "seed", "shards")}
    assert numbers == {"level": "frame", "videos": VIDEOS, "labels": LABELS, "seed": SEED, "shards": 10}
    world = World(LABELS)
    oracle = Oracle(world)
    hits = labels = 0
    for index in range(VIDEOS):
        drawn = world.draw(SEED, index)
        answer = oracle.labels(drawn)
        hits += len(set(answer) & set(drawn.labels))
        labels += len(answer) + len(drawn.labels)
    assert frame["oracle"]["videos"] == VIDEOS
    assert frame["oracle"]["micro_f1"] == pytest.approx(2 * hits / labels)


def test_the_published_number_of_labels_works(tmp_path: Path) -> None:
    steps: list[int] = []
    write_dataset(tmp_path, "video", 10, 3862, 0, progress=steps.append)
    assert steps == list(range(1, 11))
    assert len((tmp_path / "vocabulary.csv").read_text().splitlines()) == 3863
    assert len(list(tmp_path.glob("*.tfrecord"))) == 10


@given(st.integers(0, 10**9), st.integers(0, 62**4 - 2000))
@settings(max_examples=10)
def test_ids_are_four_characters_and_unique(seed: int, first: int) -> None:
    ids = {_video_id(seed, index) for index in range(first, first + 1000)}
    assert len(ids) == 1000
    assert all(len(video_id) == 4 and video_id.isascii() and video_id.isalnum() for video_id in ids)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"videos": 9}, "videos is 9, allowed are 10 to 14776336"),
        ({"videos": 62**4 + 1}, "videos is 14776337, allowed are 10 to 14776336"),
        ({"labels": 1}, "labels is 1, allowed are 2 to 100000"),
        ({"labels": 10**12}, "labels is 1000000000000, allowed are 2 to 100000"),
        ({"seed": -1}, "seed is -1, allowed are 0 to 4294967294"),
        ({"seed": 2**32 - 1}, "seed is 4294967295, allowed are 0 to 4294967294"),
        ({"shards": 13}, "shards is 13, allowed are 2 to 12, the number of videos"),
        ({"shards": 1}, "shards is 1, allowed are 2 to 12, the number of videos"),
    ],
)
def test_numbers_out_of_range_are_refused(tmp_path: Path, arguments: dict[str, int], message: str) -> None:
    settings_ = {"videos": 12, "labels": 5, "seed": 0, **arguments}
    with pytest.raises(InputError) as error:
        write_dataset(tmp_path / "out", "video", **settings_)  # type: ignore[arg-type]
    assert str(error.value) == message
    assert not (tmp_path / "out").exists()


def test_a_folder_with_files_a_file_and_a_folder_in_a_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    for out, message in (
        (tmp_path / "full", "full is not empty"),
        (tmp_path / "full" / "notes.txt", "notes.txt is a file"),
        (tmp_path / "full" / "notes.txt" / "out", "out: Not a directory, expected a folder to write"),
    ):
        with pytest.raises(InputError, match=message):
            write_dataset(out, "video", 10, 5, 0)
    assert contents_of(tmp_path / "full") == {"notes.txt": b"mine"}


@pytest.mark.parametrize(("level", "needed"), [("frame", "2.69"), ("video", "0.05")])
def test_too_little_disk_space_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, level: Level, needed: str
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=40_000_000))
    with pytest.raises(InputError, match=f"needs about {needed} GB, its disk has 0.04 GB free"):
        write_dataset(tmp_path / "out", level, 10_000, 5, 0)
    assert not (tmp_path / "out").exists()


def test_the_required_disk_space_is_the_size_of_the_records(folders: dict[Level, Path]) -> None:
    seconds = sum(len(World(LABELS).draw(SEED, index).frames) for index in range(VIDEOS))
    written = sum(map(len, records_of(folders["frame"])))
    assert written * 230 / seconds == pytest.approx(RECORD_BYTES["frame"], rel=0.01)
    assert sum(map(len, records_of(folders["video"]))) / VIDEOS == pytest.approx(RECORD_BYTES["video"], rel=0.01)


@pytest.mark.parametrize("content", ["", '{"synthetic": tr', '{"synthetic": true, "oracle": 5}', "[" * 100_000])
def test_a_damaged_oracle_json_is_refused(tmp_path, content):
    (tmp_path / "train0000.tfrecord").touch()
    (tmp_path / "oracle.json").write_text(content)
    with pytest.raises(InputError, match=r"oracle.json', which marks shards as synthetic, is (damaged|no JSON)"):
        read_oracle_file(find_files(str(tmp_path)))


def test_one_synthetic_folder_makes_the_data_synthetic(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.tfrecord").touch()
    assert read_oracle_file(find_files(str(tmp_path))) is None
    (tmp_path / "b" / "oracle.json").write_text('{"synthetic": true}')
    assert read_oracle_file(find_files(str(tmp_path)))


@pytest.mark.parametrize("content", ['{"synthetic": false}', "{}", "[1]"])
def test_data_with_another_oracle_json_are_not_called_synthetic(tmp_path, content):
    (tmp_path / "train0000.tfrecord").touch()
    (tmp_path / "oracle.json").write_text(content)
    assert read_oracle_file(find_files(str(tmp_path))) is None
