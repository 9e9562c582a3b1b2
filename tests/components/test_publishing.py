"""ChampionResolver and Pusher: the version that serves, its champion, and no incomplete versions."""

import json
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import DEFAULT, Mock

import pytest
import tensorflow as tf
from tfx import v1 as tfx
from tfx.dsl.io import filesystem_registry
from tfx.dsl.io.plugins.tensorflow_gfile import TensorflowFilesystem

import components.pusher
import components.served_models
from components.champion import VERSION
from components.champion_resolver import ChampionResolverExecutor, find_champion
from components.dataset_statistics.artifact import DataStatistics
from components.pusher import PusherExecutor
from components.served_models import versions
from models.errors import InputError


def write_model(folder, model_id, level="video", labels=("a", "b")):
    """The files of a SavedModel that publishing looks at."""
    extra = folder / "assets.extra"
    extra.mkdir(parents=True)
    (folder / "variables").mkdir()
    (folder / "saved_model.pb").write_text(model_id)
    card = {"level": level, "model_id": model_id, "model": {"encoder": {"name": "average"}}}
    (extra / "model_card.json").write_text(json.dumps(card))
    (extra / "labels.txt").write_text("".join(f"{label}\n" for label in labels))


@pytest.fixture
def serving(tmp_path):
    return tmp_path / "serving"


@pytest.fixture
def candidate(artifact):
    def make(model_id, **about):
        model = artifact(tfx.types.standard_artifacts.Model, f"model-{model_id}")
        write_model(Path(model.uri, "Format-Serving"), model_id, **about)
        return model

    return make


@pytest.fixture
def push(artifact, execute, serving):
    def run(model, blessed=True, serving=serving):
        blessing = artifact(tfx.types.standard_artifacts.ModelBlessing, "blessing")
        blessing.set_int_custom_property("blessed", int(blessed))
        pushed = artifact(tfx.types.standard_artifacts.PushedModel, "pushed")
        statistics = artifact(DataStatistics, "statistics")
        Path(statistics.uri, "statistics.json").write_text("of the data")
        execute(
            PusherExecutor,
            {"model": model, "model_blessing": blessing, "statistics": statistics},
            {"pushed_model": pushed},
            {"push_directory": str(serving)},
        )
        return pushed.get_int_custom_property("pushed"), pushed.get_string_custom_property("pushed_version")

    return run


def test_a_blessed_model_is_published_whole_under_a_number(candidate, push, serving):
    pushed, version = push(candidate("one"))
    assert pushed and versions(str(serving)) == [version]
    assert (serving / version / "assets.extra" / "labels.txt").read_text() == "a\nb\n"
    assert (serving / version / "assets.extra" / "statistics.json").read_text() == "of the data"
    assert [path.name for path in serving.iterdir()] == [version]


def test_a_model_that_is_not_blessed_is_not_published(candidate, push, serving):
    assert push(candidate("one"), blessed=False)[0] == 0
    assert not serving.exists()


def test_the_model_that_serves_is_not_pushed_again(candidate, push, serving):
    model = candidate("one")
    _, version = push(model)
    assert push(model) == (0, version)
    assert versions(str(serving)) == [version]


def test_versions_increase_even_within_a_second(candidate, push, serving, monkeypatch):
    monkeypatch.setattr(components.pusher, "time", SimpleNamespace(time=lambda: 1_800_000_000.5))
    pushed_versions = [push(candidate(name))[1] for name in ("one", "two", "three")]
    assert versions(str(serving)) == pushed_versions == ["1800000000", "1800000001", "1800000002"]


def test_a_killed_push_leaves_no_version(candidate, push, serving, monkeypatch):
    def kill(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(components.pusher.tf.io.gfile, "rename", kill)
        with pytest.raises(KeyboardInterrupt):
            push(candidate("one"))
    assert versions(str(serving)) == []
    assert push(candidate("two"))[0]


class MemoryFilesystem(TensorflowFilesystem):
    """TensorFlow's file system in memory; like an object store, it renames a folder file by file."""

    SUPPORTED_SCHEMES = ["ram://"]


def test_a_push_to_an_object_store_is_no_version_before_it_is_complete(candidate, push, monkeypatch):
    filesystem_registry.DEFAULT_FILESYSTEM_REGISTRY.register(MemoryFilesystem, priority=0)
    monkeypatch.setattr(components.served_models, "require_access", lambda *_: None)  # it accepts s3:// and gs:// only
    serving, rename = "ram://serving", tf.io.gfile.rename
    for number in range(4):  # of files; the last one completes the version
        with monkeypatch.context() as patch, pytest.raises(ConnectionError):
            cut_off = Mock(side_effect=[DEFAULT] * number + [ConnectionError], wraps=rename)
            patch.setattr(tf.io.gfile, "rename", cut_off)
            push(candidate("one"), serving=serving)
        assert versions(serving) == []
    pushed, version = push(candidate("one"), serving=serving)
    assert pushed and versions(serving) == [version]
    files = {
        f"{folder.removeprefix(f'{serving}/{version}')}/{name}"
        for folder, _, names in tf.io.gfile.walk(serving)
        if version in folder
        for name in names
    }
    assert files == {
        "/saved_model.pb",
        "/assets.extra/model_card.json",
        "/assets.extra/labels.txt",
        "/assets.extra/statistics.json",
    }


def test_there_is_no_champion_before_the_first_push(candidate, serving, artifact, execute):
    champion = artifact(tfx.types.standard_artifacts.Model, "champion")
    execute(
        ChampionResolverExecutor,
        {"model": candidate("one")},
        {"champion": champion},
        {"push_directory": str(serving)},
    )
    assert champion.get_string_custom_property(VERSION) == ""


def test_the_champion_is_the_newest_model_other_than_the_candidate(candidate, push, serving, artifact, execute):
    first, second = candidate("one"), candidate("two")
    _, oldest = push(first)
    _, newest = push(second)
    assert find_champion(candidate("three").uri, str(serving)) == newest
    assert find_champion(second.uri, str(serving)) == oldest
    champion = artifact(tfx.types.standard_artifacts.Model, "champion")
    properties = {"push_directory": str(serving)}
    execute(ChampionResolverExecutor, {"model": first}, {"champion": champion}, properties)
    assert champion.get_string_custom_property(VERSION) == newest
    assert Path(champion.uri, "Format-Serving", "saved_model.pb").read_text() == "two"


@pytest.mark.parametrize("about", [{"level": "frame"}, {"labels": ("a", "b", "c")}])
def test_models_that_cannot_be_compared_are_refused(candidate, push, serving, about):
    push(candidate("one"))
    with pytest.raises(InputError, match="labels: they cannot be compared, choose another --out"):
        find_champion(candidate("two", **about).uri, str(serving))
