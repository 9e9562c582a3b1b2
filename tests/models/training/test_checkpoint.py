"""The files of a checkpoint: written whole or not at all, one state and one best, only numbers."""

import contextlib
from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.errors import InputError
from models.training.checkpoint import Arrays, Checkpoint, Progress, values
from models.training.log import EpochLog, TrainingLog


def progress(step: int) -> Progress:
    epoch = EpochLog(
        epoch=0, loss=0.1, f1=0.3, val_loss=1 / 3, val_f1=0.7, learning_rate=1e-3, videos=8, seconds=np.pi * step
    )
    return Progress(TrainingLog(parameters=6, epochs=[epoch]), step=step, trained={"loss": 1e-7 / 3}, seconds=2.5)


def arrays(value: float) -> Arrays:
    return {"model.0": np.full((2, 3), value, "float32"), "model.1": np.array([7, int(value)], "uint32")}


def assert_same(left: Arrays, right: Arrays) -> None:
    assert left.keys() == right.keys()
    for name, array in left.items():
        assert array.dtype == right[name].dtype
        np.testing.assert_array_equal(array, right[name])


def test_another_object_loads_the_saved_values_bit_for_bit(tmp_path: Path) -> None:
    Checkpoint(tmp_path / "new" / "folder").save(progress(5), arrays(1), best=arrays(2))
    checkpoint = Checkpoint(tmp_path / "new" / "folder")
    loaded = checkpoint.load()
    assert loaded == progress(5)
    assert loaded.log.epochs[0].seconds == np.pi * 5
    assert_same(checkpoint.load_state(), arrays(1))
    assert_same(checkpoint.load_best(), arrays(2))


def test_an_empty_folder_holds_no_progress(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path)
    assert checkpoint.load() is None
    assert checkpoint.load_state() == {}
    assert checkpoint.load_best() == {}


def test_only_the_newest_state_and_the_best_weights_stay_on_disk(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path)
    checkpoint.save(progress(1), arrays(1), best=arrays(1))
    best = next(tmp_path.glob("best-*.npz"))
    written = best.stat().st_mtime_ns
    (tmp_path / "state-9.npz.partial").write_bytes(b"what a killed process left")
    for step in (2, 3):
        checkpoint.save(progress(step), arrays(step))
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint.json", "state-3.npz", best.name}
    assert best.stat().st_mtime_ns == written

    checkpoint.save(progress(4), None)
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint.json", best.name}
    assert_same(checkpoint.load_best(), arrays(1))


@pytest.mark.parametrize("operation", ["os.fsync", "pathlib.Path.replace", "pathlib.Path.unlink"])
@pytest.mark.parametrize("call", range(6))
def test_an_interrupted_save_leaves_the_old_checkpoint_or_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str, call: int
) -> None:
    Checkpoint(tmp_path).save(progress(1), arrays(1), best=arrays(1))
    saving = Checkpoint(tmp_path)
    saving.load()
    module, name = operation.rsplit(".", 1)
    owner = Path if module == "pathlib.Path" else __import__(module)
    original, calls = getattr(owner, name), iter(range(100))

    def cut_off(*args: object, **kwargs: object) -> object:
        if next(calls) == call:
            raise KeyboardInterrupt
        return original(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, cut_off)
        with contextlib.suppress(KeyboardInterrupt):
            saving.save(progress(2), arrays(2), best=arrays(2))
    checkpoint = Checkpoint(tmp_path)
    loaded = checkpoint.load()
    assert loaded in (progress(1), progress(2))
    assert_same(checkpoint.load_state(), arrays(loaded.step))
    assert_same(checkpoint.load_best(), arrays(loaded.step))

    checkpoint.save(progress(3), arrays(3), best=arrays(3))
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("name", ["checkpoint.json", "state-1.npz", "best-1.npz"])
@pytest.mark.parametrize("damage", ["cut", "emptied", "replaced"])
def test_the_message_for_a_damaged_file_names_it_and_the_remedy(tmp_path: Path, name: str, damage: str) -> None:
    Checkpoint(tmp_path).save(progress(1), arrays(1), best=arrays(1))
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(
        {"cut": whole[: len(whole) // 2], "emptied": b"", "replaced": b"\x93NUMPY" * 9}[damage]
    )
    with pytest.raises(
        InputError, match=rf"{name} cannot be read .*: delete folder {tmp_path} to start again"
    ) as error:
        checkpoint = Checkpoint(tmp_path)
        checkpoint.load()
        checkpoint.load_state()
        checkpoint.load_best()
    assert "\n" not in str(error.value)


def test_the_message_for_a_missing_file_names_it(tmp_path: Path) -> None:
    Checkpoint(tmp_path).save(progress(1), arrays(1), best=arrays(1))
    (tmp_path / "state-1.npz").unlink()
    checkpoint = Checkpoint(tmp_path)
    checkpoint.load()
    with pytest.raises(InputError, match=r"state-1\.npz cannot be read"):
        checkpoint.load_state()


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), flipped=st.integers(1, 255))
def test_a_flipped_byte_never_changes_a_value(tmp_path: Path, place: float, flipped: int) -> None:
    Checkpoint(tmp_path).save(progress(1), arrays(1))
    path = tmp_path / "state-1.npz"
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= flipped
    path.write_bytes(content)
    checkpoint = Checkpoint(tmp_path)
    checkpoint.load()
    try:
        loaded = checkpoint.load_state()
    except InputError:
        return
    for name, array in loaded.items():  # a flip in a zip header may rename an array, which `assign` reports
        assert name not in arrays(1) or array.tobytes() == arrays(1)[name].tobytes()


def test_variables_are_restored_whatever_their_names(tmp_path: Path) -> None:
    saved = {"model": [keras.Variable([1.0, 2.0], name="a"), keras.Variable([[3]], dtype="uint32", name="b")]}
    fresh = {"model": [keras.Variable([0.0, 0.0], name="c"), keras.Variable([[0]], dtype="uint32", name="d")]}
    Checkpoint(tmp_path).assign(fresh, values(saved))
    assert_same(values(fresh), values(saved))


@pytest.mark.parametrize(
    "other",
    [
        {"model": [keras.Variable([1.0, 2.0, 3.0])]},
        {"model": [keras.Variable([1.0, 2.0]), keras.Variable([1.0])]},
        {"model": []},
    ],
)
def test_values_of_another_model_are_refused_and_change_nothing(
    tmp_path: Path, other: dict[str, list[keras.Variable]]
) -> None:
    variables = {"model": [keras.Variable([5.0, 6.0])]}
    with pytest.raises(InputError, match=r"is of another model .*: delete the folder to start again"):
        Checkpoint(tmp_path).assign(variables, values(other))
    np.testing.assert_array_equal(values(variables)["model.0"], [5.0, 6.0])
