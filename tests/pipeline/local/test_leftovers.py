"""The next run removes leftovers of killed runs, `yt8m gc` the others; serving models and young files are kept."""

import json
import os
import shutil
import subprocess
import sys
import time

import pytest

from pipeline.local.leftovers import exclusive
from pipeline.local.metadata_file import known_artifacts, require_metadata
from tuner.search_folder import FINISHED

HOLD = """
import sys, time
from pathlib import Path
from pipeline.files.locks import locked
with locked(Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(600)
"""


def files(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def age(folder, days):
    for path in (folder, *folder.rglob("*")):
        os.utime(path, (time.time() - days * 86400,) * 2, follow_symlinks=False)


def put(path, text="x" * 1000):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def run(finished_run, tmp_path):
    """A finished run in a folder that was moved, and its files."""
    folder = tmp_path / "runs" / "netvlad-8"
    shutil.copytree(finished_run.folder, folder)
    return folder, files(folder)


@pytest.fixture
def leftovers(run):
    """Leftovers of processes killed in a step, during a push and during the write of a file."""
    folder, _ = run
    return [
        put(folder / "pipeline_root" / "Transform" / "transformed_examples" / "99" / "Split-train" / "data"),
        put(folder / "pipeline_root" / "Transform" / ".system" / "executor_execution" / "99" / "x"),
        put(folder / "pipeline_root" / "ExampleGen" / "examples" / "99" / "writing" / ".writing-1"),
        put(folder / "serving" / ".pushing-1700000000-abc" / "saved_model.pb"),
        put(folder / ".writing-abc"),
        put(folder / "report" / ".writing-def"),
    ]


def test_the_next_run_removes_leftovers_of_killed_runs_and_nothing_else(run, leftovers):
    folder, before = run
    with exclusive(folder):
        assert files(folder) == before | {".lock"}
    assert files(folder) == before


def test_gc_lists_leftovers_and_removes_them_with_delete(run, leftovers, yt8m):
    folder, before = run
    age(folder, 2)
    there = files(folder)
    answer = yt8m("gc", folder.parent)
    assert answer.code == 0 and files(folder) == there
    for path in ("serving/.pushing-1700000000-abc", ".writing-abc", "pipeline_root/Transform/transformed_examples/99"):
        assert f"{folder / path}  (" in answer.out
    assert "use --delete to remove" in answer.out
    for checkpoint in (folder / "checkpoints").iterdir():
        assert f"{checkpoint}  (checkpoint of a finished training)" in answer.out

    removed = json.loads(yt8m("gc", folder, "--delete", "--json").out)
    assert removed["removed"] and sum(row["bytes"] for row in removed["leftovers"]) > 6000
    assert files(folder) == {path for path in before if not path.startswith("checkpoints/")}
    assert yt8m("gc", folder).out == "nothing to remove\n"


def test_gc_keeps_files_younger_than_a_day(run, leftovers, yt8m):
    folder, _ = run
    age(folder, 2)
    now = time.time()
    os.utime(leftovers[0], (now, now))  # a single young file is enough
    yt8m("gc", folder, "--delete")
    assert leftovers[0].exists() and not any(path.exists() for path in leftovers[1:])


def test_gc_keeps_checkpoints_and_searches_that_can_be_resumed(tmp_path, yt8m):
    finished = put(tmp_path / "work" / "checkpoints" / "a" / "checkpoint.json", '{"progress": {"finished": true}}')
    begun = put(tmp_path / "work" / "checkpoints" / "b" / "checkpoint.json", '{"progress": {"finished": false}}')
    broken = put(tmp_path / "work" / "checkpoints" / "c" / "checkpoint.json", "{")
    searched = put(tmp_path / "work" / "search" / "a" / FINISHED, "")
    searching = put(tmp_path / "work" / "search" / "b" / "oracle.json", "{}")
    age(tmp_path, 2)
    yt8m("gc", tmp_path / "work", "--delete")
    assert not finished.parent.exists() and not searched.parent.exists()
    assert begun.exists() and broken.exists() and searching.exists()


def test_gc_never_removes_the_serving_model(run, yt8m):
    folder, _ = run
    [newest] = (folder / "serving").iterdir()
    older = [folder / "serving" / version for version in ("7", "8", "9")]
    for version in older:
        shutil.copytree(newest, version)
    age(folder, 2)
    yt8m("gc", folder, "--delete")
    assert all(version.exists() for version in older)
    yt8m("gc", folder / "serving", "--delete", "--keep-versions", "2")
    assert [version.exists() for version in older] == [False, False, True]
    yt8m("gc", folder, "--delete", "--keep-versions", "1")
    assert not older[2].exists() and newest.exists()


def test_gc_skips_a_folder_where_a_run_is_at_work(run, leftovers, yt8m):
    folder, _ = run
    age(folder, 2)
    holder = subprocess.Popen([sys.executable, "-c", HOLD, folder], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "locked\n"
        assert yt8m("gc", folder, folder.parent).out == "nothing to remove\n"
    finally:
        holder.kill()
        holder.communicate()


def test_gc_names_a_missing_folder(yt8m):
    answer = yt8m("gc", "nowhere")
    assert answer.code == 2 and answer.err.startswith("error: nowhere: no such folder, expected")


DAMAGES = {
    "missing": lambda path: path.unlink(),
    "damaged (no such table: Artifact)": lambda path: path.write_bytes(b""),
    "damaged (file is not a database)": lambda path: path.write_bytes(b"SQLite format" + bytes(4096)),
    "damaged (database disk image is malformed)": lambda path: os.truncate(path, 20_000),
}


@pytest.mark.parametrize("state", DAMAGES)
def test_a_run_folder_whose_metadata_are_damaged_keeps_its_artifacts(run, leftovers, yt8m, frames, state):
    folder, _ = run
    DAMAGES[state](folder / "metadata.sqlite")
    before = files(folder / "pipeline_root")
    start = ("run", "--data", frames, "--experiment", "netvlad-8", "--out", folder)
    for command in (start, ("tune", "netvlad-8", "--run", folder, "--out", folder.parent / "search")):
        answer = yt8m(*command)
        assert answer.code == 2 and "metadata.sqlite" in answer.err and answer.err.count("\n") == 1
        assert command is not start or f"error: {folder}/metadata.sqlite is {state}; it describes" in answer.err
    assert {path for path in before if ".system" not in path} == files(folder / "pipeline_root")


def test_an_unfinished_write_of_the_metadata_is_rolled_back(run):
    folder, _ = run
    before = known_artifacts(folder)
    program = (
        "import os, sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('PRAGMA cache_size = 1'); "
        "c.execute(\"UPDATE Artifact SET state = 0, uri = uri || ?\", ('x' * 100_000,)); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", program, folder / "metadata.sqlite"])
    assert (folder / "metadata.sqlite-journal").exists()
    require_metadata(folder)
    assert known_artifacts(folder) == before
