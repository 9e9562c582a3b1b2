"""Members of an ensemble and teachers: named by run folder, push directory or version, with its level and labels."""

import json
import shutil
import zipfile

import pytest
import tensorflow as tf

from components.trainer.members import find_members, find_teachers, model_ids
from models.errors import InputError

NAMES = ("a", "b")


@pytest.fixture
def push(tmp_path):
    """`(run, version, level="frame", labels=NAMES)` -> the run folder, with a pushed model of that version."""

    def write(run, version, level="frame", labels=NAMES):
        extra = tmp_path / run / "serving" / str(version) / "assets.extra"
        extra.mkdir(parents=True)
        (extra.parent / "saved_model.pb").touch()
        card = {"level": level, "model_id": "x", "model": {"encoder": {"name": "average"}}}
        (extra / "model_card.json").write_text(json.dumps(card))
        with zipfile.ZipFile(extra / "model.keras", "w") as file:
            for part in ("config.json", "model.weights.h5"):
                file.writestr(part, "")
        (extra / "labels.txt").write_text("".join(f"{label}\n" for label in labels))
        return tmp_path / run

    return write


def test_a_member_is_named_by_its_run_push_directory_or_version(push, monkeypatch):
    push("a", 9)
    a, b = push("a", 10), push("b", 3)
    paths = [str(a), f"{b}/serving", f"{a}/serving/9"]
    assert find_members(paths, "frame", NAMES) == [f"{a}/serving/10", f"{b}/serving/3", f"{a}/serving/9"]
    monkeypatch.chdir(a.parent)
    assert find_members(["a", "b/serving"], "frame", NAMES) == [f"{a}/serving/10", f"{b}/serving/3"]


@pytest.mark.parametrize("paths", [(), ("a",)])
def test_fewer_than_two_are_refused(paths):
    with pytest.raises(InputError, match=r"an ensemble needs two models or more, say --set model\.encoder\.members="):
        find_members(paths, "frame", NAMES)


def test_a_folder_without_a_model_is_named(push, tmp_path):
    with pytest.raises(InputError, match=rf"model.encoder.members: '{tmp_path}/c' holds no pushed model, expected"):
        find_members([str(push("a", 1)), str(tmp_path / "c")], "frame", NAMES)


@pytest.mark.parametrize(
    ("about", "reason"),
    [
        ({"level": "video"}, r"reads video-level records, the ensemble frame-level ones \(--set level=video\)"),
        ({"labels": ("a", "b", "c")}, r"has other labels \(3, the data have 2\)"),
        ({"labels": ("b", "a")}, r"has other labels \(2, the data have 2\)"),
    ],
)
def test_a_model_with_another_level_or_other_labels_is_refused(push, about, reason):
    with pytest.raises(InputError, match=reason):
        find_members([str(push("a", 1)), str(push("b", 1, **about))], "frame", NAMES)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A SavedModel with the signature that teachers need."""
    folder, module = tmp_path_factory.mktemp("saved"), tf.Module()
    module.weight = tf.Variable(1.0)
    predict = tf.function(lambda examples: {"probabilities": module.weight}, [tf.TensorSpec([None], tf.string)])
    tf.saved_model.save(module, str(folder), signatures={"packed_examples": predict})
    return folder


@pytest.fixture
def push_teacher(push, saved):
    """`(run, version, ...)` -> the run folder, as `push`, with the SavedModel."""

    def write(run, version, **about):
        folder = push(run, version, **about)
        shutil.copytree(saved, folder / "serving" / str(version), dirs_exist_ok=True)
        return folder

    return write


def test_one_teacher_is_enough_and_is_named_as_members_are(push_teacher, monkeypatch):
    push_teacher("a", 9)
    a = push_teacher("a", 10)
    assert find_teachers([str(a)], "frame", NAMES) == [f"{a}/serving/10"]
    monkeypatch.chdir(a.parent)
    found = find_teachers(["a/serving/9", "a/serving"], "frame", NAMES)
    assert found == [f"{a}/serving/9", f"{a}/serving/10"] and model_ids(found) == ["x", "x"]


@pytest.mark.parametrize(
    ("about", "reason"),
    [
        ({"level": "video"}, r"'.*/b' reads video-level records, the run frame-level ones \(--set level=video\)"),
        ({"labels": ("a", "b", "c")}, r"'.*/b' has other labels \(3, the data have 2\)"),
        ({"labels": ("b", "a")}, r"'.*/b' has other labels \(2, the data have 2\)"),
    ],
)
def test_a_teacher_of_another_level_or_other_labels_is_refused(push_teacher, about, reason):
    paths = [str(push_teacher("a", 1)), str(push_teacher("b", 1, **about))]
    with pytest.raises(InputError, match=f"^training.teachers: {reason}$"):
        find_teachers(paths, "frame", NAMES)


def test_a_missing_or_damaged_teacher_is_refused(push_teacher, tmp_path):
    with pytest.raises(InputError, match=rf"^training.teachers: '{tmp_path}/c' holds no pushed model, expected"):
        find_teachers([str(tmp_path / "c")], "frame", NAMES)
    serving = push_teacher("a", 1) / "serving" / "1"
    (serving / "variables" / "variables.index").unlink()
    with pytest.raises(InputError, match=rf"^training.teachers: {serving}: "):
        find_teachers([str(serving)], "frame", NAMES)
    tf.saved_model.save(tf.train.Checkpoint(weight=tf.Variable(1.0)), str(serving))
    with pytest.raises(InputError, match=rf"{serving}: not a SavedModel of `yt8m run`: it has no signature packed_ex"):
        find_teachers([str(serving)], "frame", NAMES)
