"""A damaged pushed model is one line that names the file, for every reader of models."""

import json
import math
import os
import shutil
import zipfile
from pathlib import Path

import pytest

from components.champion_resolver import find_champion
from components.dataset_statistics.statistics import Statistics
from components.drift_detector.component import detect_drift
from components.drift_detector.settings import DriftSettings
from components.served_models import versions
from models.errors import InputError

CARD, LABELS, KERAS = "assets.extra/model_card.json", "assets.extra/labels.json", "assets.extra/model.keras"


@pytest.fixture
def model(runs, tmp_path):
    """The folder of a pushed version in a copy of a run."""
    shutil.copytree(runs / "average", tmp_path / "run")
    return tmp_path / "run" / "serving" / "7"


@pytest.fixture
def assert_refused(yt8m):
    """Runs a command that must end with one line about a file; a line about the warm start may come first."""

    def check(path, *command):
        answer = yt8m(*command)
        *before, line = answer.err.splitlines()
        assert answer.code == 2 and str(path) in line and all("warm start: " in other for other in before), answer.err
        assert line.startswith("error: ") and len(line) < 800
        return line

    return check


def damage(path: Path, content: bytes | None) -> None:
    path.unlink() if content is None else path.write_bytes(content)


def card(**changes):
    whole = {"level": "video", "model": {"encoder": {"name": "average"}}, "model_id": "x", "threshold": 0.4}
    return json.dumps(whole | changes).encode()


DAMAGES = [
    (LABELS, None, "labels.json: No such file or directory"),
    (LABELS, b"", "labels.json: not JSON: "),
    (LABELS, b"\xff\x00", "labels.json: byte 0 is not UTF-8 text"),
    (LABELS, b"[]", "labels.json: holds [], expected the names of the labels"),
    (LABELS, b"7", "labels.json: holds 7, expected the names of the labels"),
    (LABELS, b"[1, 2]", "labels.json: holds [1, 2], expected the names of the labels"),
    (LABELS, b"[" * 100_000, "labels.json: not JSON: "),
    (LABELS, b"9" * 5_000, "labels.json: not JSON: "),
    (LABELS, b'["only one"]', "answers 25 labels, its assets.extra names 1"),
    (CARD, b"{", "model_card.json: not JSON: "),
    (CARD, b"", "model_card.json: not JSON: "),
    (CARD, b"\xff", "model_card.json: byte 0 is not UTF-8 text"),
    (CARD, b"[]", "model_card.json: the card is []: "),
    (CARD, b"{}", "model_card.json: level is missing"),
    (CARD, card(level=3), "model_card.json: level is 3: "),
    (CARD, card(level="x" * 5_000), "model_card.json: level is 'xxx"),
    (CARD, card(model="average"), "model_card.json: model is 'average': "),
    (CARD, card(model={"encoder": "average"}), "model_card.json: model.encoder is 'average': "),
    (CARD, card(threshold="high"), "model_card.json: threshold is 'high': "),
    (CARD, card(threshold=7), "model_card.json: threshold is 7: "),
    (CARD, card(threshold=math.nan), "model_card.json: threshold is nan: "),
    ("saved_model.pb", b"", "no SavedModel that can be loaded: "),
    ("saved_model.pb", b"broken", "no SavedModel that can be loaded: "),
    ("variables/variables.index", None, "no SavedModel that can be loaded: "),
    ("variables/variables.index", b"broken", "no SavedModel that can be loaded: "),
    ("variables/variables.data-00000-of-00001", None, "no SavedModel that can be loaded: "),
    ("variables/variables.data-00000-of-00001", b"broken", "no SavedModel that can be loaded: "),
]


@pytest.mark.parametrize(("name", "content", "message"), DAMAGES, ids=range(len(DAMAGES)))
def test_predict_names_the_damaged_file(
    model, assert_refused, write_shard, video_record, tmp_path, name, content, message
):
    data = write_shard(tmp_path / "a.tfrecord", [video_record()])
    damage(model / name, content)
    assert message in assert_refused(model, "predict", tmp_path / "run", "--data", data)


@pytest.mark.parametrize("name", ["saved_model.pb", "variables/variables.index"])
def test_a_run_says_before_its_training_that_the_model_that_serves_or_a_teacher_is_damaged(
    model, assert_refused, write_shard, video_record, tmp_path, name
):
    data = write_shard(tmp_path / "data" / "a.tfrecord", [video_record()])
    damage(model / name, (model / name).read_bytes()[:500])
    command = ("run", "--data", data.parent, "--experiment", "average-576", "--out", tmp_path / "run")
    assert "the model that serves is damaged: remove or restore this version" in assert_refused(model, *command)
    taught = (*command[:-1], tmp_path / "taught", "--set", f"training.teachers=[{model}]")
    line = assert_refused(model, *taught)
    assert f"error: training.teachers: {model}: " in line and "serves" not in line


def test_a_pipe_in_place_of_a_card_is_refused_and_not_waited_for(
    model, assert_refused, write_shard, video_record, tmp_path
):
    data = write_shard(tmp_path / "a.tfrecord", [video_record()])
    (model / CARD).unlink()
    os.mkfifo(model / CARD)
    assert_refused(model / CARD, "predict", tmp_path / "run", "--data", data)


def test_a_folder_whose_name_only_looks_like_a_number_is_no_version(model):
    shutil.copytree(model, model.with_name("²"))
    assert versions(str(model.parent)) == ["7"]


def test_labels_of_old_releases_are_read_as_carefully(model, assert_refused, write_shard, video_record, tmp_path):
    data = write_shard(tmp_path / "a.tfrecord", [video_record()])
    (model / LABELS).unlink()
    for content, message in ((b"", "holds [], expected"), (b"\xff", "byte 0 is not UTF-8 text"), (b"a\n", "names 1")):
        (model / "assets.extra" / "labels.txt").write_bytes(content)
        assert message in assert_refused(model, "predict", model, "--data", data)


OF_KERAS = [
    (KERAS, None, "model.keras: no Keras model that can be loaded: "),
    (KERAS, b"broken" * 100, "model.keras: no Keras model that can be loaded: BadZipFile: "),
    (CARD, b"{", "model_card.json: not JSON: "),
    (LABELS, b"{", "labels.json: not JSON: "),
]


@pytest.mark.parametrize(("name", "content", "message"), OF_KERAS, ids=range(len(OF_KERAS)))
def test_an_ensemble_and_a_warm_start_refuse_it_before_any_work(
    model, runs, assert_refused, write_shard, video_record, tmp_path, name, content, message
):
    data = write_shard(tmp_path / "data" / "a.tfrecord", [video_record()])
    vocabulary = tmp_path / "vocabulary.csv"
    vocabulary.write_text("Index,Name\n" + "".join(f"{label},name {label}\n" for label in range(25)))
    damage(model / name, content)
    command = ("run", "--data", data, "--vocabulary", vocabulary, "--out", tmp_path / "out")
    members = f"model.encoder.members=[{runs / 'average'}, {model}]"
    ensemble = (*command, "--experiment", "ensemble", "--set", "level=video", "--set", members)
    line = assert_refused(model, *ensemble)
    assert f"error: model.encoder.members: {model}/assets.extra/" in line and message in line
    warm = (*command, "--experiment", "average-2304-1152", "--set", f"training.warm_start={model}")
    assert message in assert_refused(model, *warm)
    assert not (tmp_path / "out" / "pipeline_root").exists()


def test_a_keras_model_with_damaged_content_is_one_line(model):
    from components.served_models import load_keras_model

    with zipfile.ZipFile(model / KERAS, "w") as file:
        for part in ("config.json", "model.weights.h5"):
            file.writestr(part, "{}")
    with pytest.raises(InputError, match=r"model\.keras: no Keras model that can be loaded: ") as error:
        load_keras_model(str(model))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff", b"[" * 100_000], ids=range(4))
def test_the_comparison_with_the_champion_names_it(model, runs, tmp_path, content):
    candidate = tmp_path / "model"
    shutil.copytree(runs / "average" / "serving" / "7", candidate / "Format-Serving")
    statistics = Statistics.model_construct(level="video", names=tuple(f"name {label}" for label in range(25)))
    serving = str(model.parent)
    (model / "assets.extra" / "statistics.json").write_bytes(content)
    with pytest.raises(InputError, match=r"statistics\.json: no statistics of a data set: "):
        detect_drift(statistics, serving, "7", DriftSettings())
    (model / CARD).write_bytes(content)
    for compare in (
        lambda: find_champion(str(candidate), serving),
        lambda: detect_drift(statistics, serving, "7", DriftSettings()),
    ):
        with pytest.raises(InputError, match=r"serving/7/assets\.extra/model_card\.json: "):
            compare()


def test_a_card_without_an_identity_is_named(model, tmp_path):
    (model / CARD).write_bytes(b'{"level": "video"}')
    shutil.copytree(model, tmp_path / "candidate" / "Format-Serving")
    with pytest.raises(InputError, match=r"model_card\.json: model_id is missing"):
        find_champion(str(tmp_path / "candidate"), str(model.parent))
