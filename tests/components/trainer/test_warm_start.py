"""Warm starts: from the newest pushed model or from a named one, of the same architecture."""

import json
import zipfile

import pytest

from components.trainer.warm_start import find_initial_model, require_same_architecture
from models.errors import InputError
from models.settings import ModelSettings

NAMES = ("a", "b")
NETVLAD = {"encoder": {"name": "netvlad", "clusters": 8}, "hidden_units": [16]}


@pytest.fixture
def push(tmp_path):
    """`(version, level="frame", labels=NAMES, **model)` -> the folder of the version."""

    def write(version, level="frame", labels=NAMES, **model):
        extra = tmp_path / "serving" / str(version) / "assets.extra"
        extra.mkdir(parents=True)
        (extra.parent / "saved_model.pb").touch()
        settings = ModelSettings.model_validate(NETVLAD | model).model_dump(mode="json")
        (extra / "model_card.json").write_text(json.dumps({"level": level, "model_id": "x", "model": settings}))
        with zipfile.ZipFile(extra / "model.keras", "w") as file:
            for part in ("config.json", "model.weights.h5"):
                file.writestr(part, "")
        (extra / "labels.txt").write_text("".join(f"{label}\n" for label in labels))
        return str(extra.parent)

    return write


def test_a_warm_start_begins_with_the_newest_version(push, tmp_path):
    serving = str(tmp_path / "serving")
    assert find_initial_model(True, serving) == ""
    push(9), push(10)
    assert find_initial_model(True, serving) == f"{serving}/10"
    assert find_initial_model(False, serving) == ""


def test_another_model_can_be_named(push, tmp_path):
    other = push(9)
    push(10)
    assert find_initial_model(other, "/nowhere") == other
    assert find_initial_model(str(tmp_path), "/nowhere") == f"{tmp_path}/serving/10"
    with pytest.raises(InputError, match=r"training.warm_start: '/nowhere/x' holds no pushed model, expected a run's"):
        find_initial_model("/nowhere/x", "")


def require(initial_model, level="frame", names=NAMES, **model):
    require_same_architecture(initial_model, ModelSettings.model_validate(NETVLAD | model), level, names)


def test_the_same_architecture_is_accepted(push):
    require(push(1))


@pytest.mark.parametrize(
    ("asked", "wanted", "served"),
    [
        ({"encoder": {"name": "netvlad", "clusters": 16}}, "model.encoder.clusters is 16", "8"),
        ({"encoder": {"name": "lstm", "units": 8}}, "model.encoder.name is 'lstm'", "'netvlad'"),
        ({"hidden_units": [16, 8]}, "model.hidden_units is [16, 8]", "[16]"),
        ({"level": "video"}, "level is 'video'", "'frame'"),
    ],
)
def test_another_architecture_is_refused_with_a_setting_that_differs(push, asked, wanted, served):
    initial_model = push(1)
    with pytest.raises(InputError) as error:
        require(initial_model, **asked)
    expected = f"training.warm_start: {wanted}, allowed with the weights of {initial_model}: {served}; set training."
    assert str(error.value).startswith(expected)


def test_other_labels_are_refused(push):
    with pytest.raises(InputError, match=r"the data have 2 labels, .*/serving/1 has other labels \(2\); set training"):
        require(push(1), names=("b", "a"))
