"""A pointer artifact leads to the files that were written, or the step ends with one line that says what differs."""

import json
import os
import subprocess
import sys

import pytest

from models.errors import InputError
from models.input.index import INDEX_FOLDER
from pipeline.kubeflow.container.executor_input import ExecutorInput
from pipeline.kubeflow.container.pointers import INDEX, LARGEST_DESCRIPTION, POINTER, Listing, Pointer, input_paths

PATH = "yt8m/run-1/ExampleGen/examples-1a2b"


@pytest.fixture
def volume(tmp_path):
    """A volume with records and their index, and a model's graph and weights, in one artifact."""
    files = {
        "Split-train/records": b"r" * 100,
        "index/Split-train/records.npz": b"i" * 50,
        "Format-Serving/saved_model.pb": b"g" * 10,
        "Format-Serving/variables/weights": b"w" * (LARGEST_DESCRIPTION + 1),
    }
    for name, content in files.items():
        path = tmp_path / "volume" / PATH / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "volume"


@pytest.fixture
def read(tmp_path, volume):
    """Reads the artifact as a step does, after a change of the pointer's text."""

    def build(text=None, **changed):
        uri = tmp_path / "store" / "yt8m" / "run-1" / "ExampleGen" / "id" / "examples"
        uri.mkdir(parents=True, exist_ok=True)
        pointer = Pointer.to(volume / PATH, volume) if text is None else None
        (uri / POINTER).write_text(json.dumps({**pointer.model_dump(), **changed}) if pointer else text)
        return lambda: input_paths(executor_input("examples", uri), volume)

    return build


def executor_input(name, uri):
    content = {"inputs": {"artifacts": {name: {"artifacts": [{"name": "7", "uri": str(uri)}]}}}}
    return ExecutorInput.parse(json.dumps(content))


def test_a_pointer_leads_to_the_files_where_they_were_written(read, volume, tmp_path):
    assert read()() == {"examples": str(volume / PATH)}
    [pointer] = tmp_path.rglob(POINTER)
    content = json.loads(pointer.read_text())
    assert content.keys() == {"version", "path", "bytes", "files", "sha256"} and pointer.stat().st_size < 1000
    assert (content["version"], content["path"], content["files"]) == (1, PATH, 4)
    assert content["bytes"] == 160 + LARGEST_DESCRIPTION + 1


def test_an_artifact_without_pointer_is_read_from_the_launchers_copy(tmp_path, volume):
    assert input_paths(executor_input("schema", tmp_path), volume) == {"schema": str(tmp_path)}


def test_indexes_are_what_training_calls_so():
    assert f"{INDEX_FOLDER}/" == INDEX


def truncate(folder):
    os.truncate(folder / "Split-train/records", 99)


def add(folder):
    (folder / "Split-train/more").touch()


def change_index(folder):
    (folder / "index/Split-train/records.npz").write_bytes(b"x" * 50)


def change_graph(folder):
    (folder / "Format-Serving/saved_model.pb").write_bytes(b"x" * 10)


def exchange_names(folder):
    (folder / "Split-train/records").rename(folder / "Split-train/other")


def remove(folder):
    folder.rename(folder.with_name("elsewhere"))


def remove_file(folder):
    (folder / "Split-train/records").unlink()


def link_file(folder):
    (folder / "Split-train/records").unlink()
    (folder / "Split-train/records").symlink_to("/etc/hostname")


def link_folder(folder):
    moved = folder.rename(folder.with_name("elsewhere"))
    folder.symlink_to(moved)


def link_parent(folder):
    moved = folder.parent.rename(folder.parents[1] / "elsewhere")
    folder.parent.symlink_to(moved)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (remove, "is gone"),
        (truncate, "bytes, its pointer says"),
        (add, "has 5 files, its pointer says 4"),
        (remove_file, "has 3 files, its pointer says 4"),
        (change_index, "has other files than its pointer says"),
        (change_graph, "has other files than its pointer says"),
        (exchange_names, "has other files than its pointer says"),
        (link_file, "is a symbolic link or another special file"),
        (link_folder, "is, or lies behind, a symbolic link"),
        (link_parent, "is, or lies behind, a symbolic link"),
    ],
)
def test_files_that_are_not_as_they_were_written_end_the_step_with_one_line(read, volume, damage, message):
    follow = read()
    damage(volume / PATH)
    with pytest.raises(InputError) as error:
        follow()
    text = str(error.value)
    assert text.startswith(f"input examples: {volume / PATH}") and message in text and "\n" not in text
    assert text.endswith(": ExampleGen must run again; submit the run again")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"path": "../elsewhere"}, "../elsewhere is outside of the volume"),
        ({"path": "/etc"}, "/etc is outside of the volume"),
        ({"path": ""}, "'' is outside of the volume"),
        ({"path": "yt8m/r/Trainer/.writing-model-1"}, "yt8m/r/Trainer/.writing-model-1 is half-written"),
        ({"version": 2}, "is a pointer of version 2, this image reads version 1"),
        ({"text": ""}, "is no pointer: Expecting value"),
        ({"text": "[]"}, "is no pointer: list indices"),
        ({"text": "[" * 9999}, "is no pointer: maximum recursion depth"),
        ({"text": '{"version": 1, "path": "x"}'}, "is no pointer: bytes is missing"),
        ({"text": " " * 70_000}, "is no pointer: it is too large"),
    ],
)
def test_a_wrong_pointer_ends_the_step_with_one_line(read, changed, message):
    with pytest.raises(InputError) as error:
        read(**changed)()
    text = str(error.value)
    assert text.startswith("input examples: ") and POINTER in text and message in text and "\n" not in text
    assert text.endswith(": run ExampleGen again, with `yt8m submit --no-cache`")


def test_a_pointer_in_a_package_without_volume_is_refused(read, tmp_path):
    read()
    [pointer] = tmp_path.rglob(POINTER)
    with pytest.raises(
        InputError, match=r"input examples is .*, a pointer artifact, .* with cluster\.artifacts: volume"
    ):
        input_paths(executor_input("examples", pointer.parent), None)


def test_an_empty_artifact_has_a_pointer_too(tmp_path):
    folder = tmp_path / "yt8m" / "run" / "ChampionResolver" / "champion-1"
    folder.mkdir(parents=True)
    pointer = Pointer.to(folder, tmp_path)
    assert (pointer.files, pointer.bytes) == (0, 0) and pointer.verify(tmp_path) == folder


def test_the_content_of_records_and_weights_is_not_read(volume):
    before = Listing.of(volume / PATH)
    (volume / PATH / "Split-train/records").write_bytes(b"x" * 100)
    (volume / PATH / "Format-Serving/variables/weights").write_bytes(b"x" * (LARGEST_DESCRIPTION + 1))
    assert Listing.of(volume / PATH) == before


def test_a_step_whose_pointer_leads_nowhere_ends_before_tfx_is_imported(read, volume, tmp_path):
    read()
    [pointer] = tmp_path.rglob(POINTER)
    remove(volume / PATH)
    artifacts = {"examples": {"artifacts": [{"name": "7", "uri": str(pointer.parent)}]}}
    content = {"inputs": {"artifacts": artifacts}, "outputs": {"outputFile": f"{tmp_path}/Trainer/output.json"}}
    options = ["--step", "Trainer", "--executor_input", json.dumps(content), "--push_directory", "/serving"]
    module = "pipeline.kubeflow.container.entrypoint"
    command = [sys.executable, "-X", "importtime", "-m", module, *options, "--artifact_directory", str(volume)]
    answer = subprocess.run(command, capture_output=True, text=True)
    assert answer.returncode == 2 and "tensorflow" not in answer.stderr
    assert answer.stderr.splitlines()[-1] == (
        f"error: Trainer: input examples: {volume / PATH} is gone: ExampleGen must run again; submit the run again"
    )
