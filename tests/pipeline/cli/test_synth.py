"""`yt8m synth`: a complete data set or none, whenever it is killed."""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

ASKED = ("--level", "video", "--videos", 40, "--labels", 5)


@pytest.fixture
def synth(yt8m):
    return lambda out, *arguments: yt8m("synth", *(arguments or ASKED), out)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """Files of an undisturbed command, by name."""
    from pipeline.data.synthetic_data import write_dataset

    folder = tmp_path_factory.mktemp("unbroken")
    write_dataset(folder, "video", 40, 5, 0)
    return files(folder)


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_synth_writes_a_data_set_with_its_vocabulary_and_oracle(synth, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answer = synth("data")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out == "40 synthetic video-level videos with 5 labels in data\n"
    assert json.loads((tmp_path / "data" / "oracle.json").read_text())["synthetic"] is True
    assert len((tmp_path / "data" / "vocabulary.csv").read_text().splitlines()) == 6


def test_a_killed_command_leaves_no_data_set_and_can_be_repeated(synth, yt8m, tmp_path):
    out, arguments = tmp_path / "data", ("--level", "video", "--videos", 100, "--labels", 5)
    program = "from pipeline.cli import main; main()"
    with subprocess.Popen([sys.executable, "-c", program, "synth", *map(str, arguments), str(out)]) as process:
        end = time.monotonic() + 300
        while len(list(out.glob(".unfinished/*"))) < 2:
            assert process.poll() is None and time.monotonic() < end
        process.kill()
    left = {path.name for path in out.rglob("*") if path.is_file()}
    assert left and not list(out.rglob("*.tfrecord"))
    for command in (("stats", "--out", tmp_path / "s"), ("predict", tmp_path)):
        answer = yt8m(*command, "--data", out)
        assert answer.code == 2 and f"no file matches '{out}'" in answer.err
    assert synth(out, *arguments).code == synth(tmp_path / "unbroken", *arguments).code == 0
    assert files(out) == files(tmp_path / "unbroken")


def test_the_files_that_describe_the_shards_are_there_before_them(synth, tmp_path, monkeypatch):
    names, rename = [], Path.rename

    def see(path, target):
        names.append(Path(target).name)
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", see)
    assert synth(tmp_path).code == 0
    assert names[:4] == [".whole", "oracle.json", "vocabulary.csv", "train0000.tfrecord"] and len(names) == 13


@pytest.mark.parametrize("published", range(13))
def test_a_command_killed_while_it_renames_files_is_completed_by_the_next(synth, unbroken, tmp_path, published):
    whole = tmp_path / ".whole"
    whole.mkdir()
    # In the order in which the names appear.
    names = sorted(unbroken, key=lambda name: (name.endswith(".tfrecord"), name))
    assert names[:2] == ["oracle.json", "vocabulary.csv"]
    for number, name in enumerate(names):
        path = tmp_path / name if number < published else whole / f"{name}.partial"
        path.write_bytes(unbroken[name])
    answer = synth(tmp_path)
    assert (answer.code, answer.out.count("(unchanged)")) == (0, 1)
    assert files(tmp_path) == unbroken


def test_leftovers_of_a_killed_command_do_not_block_the_folder(synth, unbroken, tmp_path):
    (tmp_path / ".unfinished").mkdir()
    (tmp_path / ".unfinished" / "train0000.tfrecord.partial").write_bytes(b"half")
    assert synth(tmp_path).code == 0
    assert files(tmp_path) == unbroken


def test_a_finished_data_set_is_left_unchanged(synth, unbroken, tmp_path):
    assert synth(tmp_path).code == 0
    (tmp_path / "notes.txt").write_text("mine")
    states = {path: path.stat() for path in tmp_path.iterdir()}
    answer = synth(tmp_path)
    assert answer.out == f"40 synthetic video-level videos with 5 labels in {tmp_path} (unchanged)\n"
    answer = synth(tmp_path, *ASKED, "--seed", 1)
    assert (answer.code, answer.err) == (2, f"error: {tmp_path} is not empty, expected a new or empty folder\n")
    assert {path: path.stat() for path in tmp_path.iterdir()} == states
    (tmp_path / "train0003.tfrecord").unlink()
    assert synth(tmp_path).code == 2


def test_files_of_the_user_are_never_touched(synth, tmp_path):
    (tmp_path / ".unfinished").mkdir()
    (tmp_path / ".unfinished" / "train0000.tfrecord.partial").write_bytes(b"half")
    for name in ("notes.txt", "train0000.tfrecord", "oracle.json"):
        (tmp_path / name).write_text("[" * 5_000)
        before = {path: path.stat() for path in tmp_path.rglob("*")}
        assert synth(tmp_path).err == f"error: {tmp_path} is not empty, expected a new or empty folder\n"
        assert {path: path.stat() for path in tmp_path.rglob("*")} == before
        (tmp_path / name).unlink()


HOLD = """
import sys
from pathlib import Path
from pipeline.files.locks import locked
with locked(Path(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_two_commands_at_once_do_not_mix(synth, tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout.readline() == b"locked\n"
        answer = synth(tmp_path)
    assert answer.code == 2 and f"error: {tmp_path} is in use by process {other.pid}" in answer.err
    assert synth(tmp_path).code == 0


INTERRUPTED = """
import os, signal, sys
import tensorflow  # once, not in each child
from pipeline.cli import main
from pipeline.data import synthetic_data

synthetic_data._write_vocabulary = lambda *_: os.kill(os.getpid(), signal.SIGINT)
for out in ("new", "."):
    if (child := os.fork()) == 0:
        sys.argv = ["yt8m", "synth", "--level", "video", "--videos", "20", "--labels", "3", out]
        main()
    _, status = os.waitpid(child, 0)
    print(out, os.waitstatus_to_exitcode(status), os.listdir(), flush=True)
"""


def test_an_interrupted_command_leaves_nothing(tmp_path):
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["new 130 []", ". 130 []"], done.stderr


def test_a_full_disk_leaves_nothing(synth, tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (12_000, limits[1]))
    try:
        answer = synth(tmp_path / "new")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (answer.code, answer.err) == (1, f"error: {tmp_path}/new: File too large\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("out", ["file", "file/out", "x" * 300, "loop"])
def test_a_folder_that_cannot_be_made_is_one_line(synth, tmp_path, monkeypatch, out):
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    Path("loop").symlink_to("loop")
    answer = synth(out)
    assert answer.code == 2 and answer.err.startswith(f"error: {out}") and answer.err.count("\n") == 1


def test_an_empty_folder_may_be_reached_by_a_link_or_be_the_current_one(synth, unbroken, tmp_path, monkeypatch):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    monkeypatch.chdir(tmp_path / "folder")
    assert synth("../link").code == 0
    assert files(tmp_path / "folder") == files(Path()) == unbroken
    assert (tmp_path / "link").is_symlink()
