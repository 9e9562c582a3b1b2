"""The command line: fast to answer, one line and exit code 2 for the user's mistakes."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

YT8M = Path(sys.executable).with_name("yt8m")


def yt8m(*arguments, **settings):
    return subprocess.run([YT8M, *map(str, arguments)], capture_output=True, text=True, timeout=120, **settings)


@pytest.mark.parametrize("arguments", [["--help"], ["experiments"], ["run", "--help"]])
def test_help_and_lists_answer_within_a_second(arguments):
    yt8m(*arguments)  # the first call may compile bytecode
    started = time.monotonic()
    assert yt8m(*arguments).returncode == 0
    assert time.monotonic() - started < 1


def test_experiments_as_json():
    entries = {entry["name"]: entry for entry in json.loads(yt8m("experiments", "--json").stdout)}
    assert entries["average-2304-1152"]["published"]["f1_test"] == 0.776
    assert entries["netvlad-8"]["published"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--data", "x", "--experiment", "nope"], "error: experiment is 'nope', allowed:"),
        (["run", "--experiment", "netvlad-8"], "Missing option '--data'"),
        (["run", "--data", "x", "--experiment", "netvlad-8", "--sed", "1"], "No such option"),
        (
            ["run", "--data", "x", "--experiment", "netvlad-8", "--set", "training.rate=1"],
            "training.rate is no setting",
        ),
        (
            ["run", "--data", "x", "--experiment", "netvlad-8", "--out", "file"],
            "--out is 'file': File exists, expected a",
        ),
        (["synth", "--level", "sound", "--videos", 20, "--labels", 3, "out"], "is not one of 'video', 'frame'"),
        (["synth", "--level", "video", "--videos", 20, "--labels", 1, "out"], "error: "),
    ],
)
def test_a_mistake_is_said_in_words_with_exit_code_2(tmp_path, arguments, message):
    (tmp_path / "file").touch()
    found = yt8m(*arguments, cwd=tmp_path)
    assert found.returncode == 2 and message in found.stderr and "Traceback" not in found.stderr


def test_data_that_is_not_there_is_one_line(tmp_path):
    found = yt8m("run", "--data", "nowhere", "--experiment", "netvlad-8", cwd=tmp_path)
    assert found.returncode == 2
    assert found.stderr.splitlines() == [
        f"error: data: no file matches '{tmp_path}/nowhere' (a folder of *.tfrecord files, a file or a glob)"
    ]


def test_synth_writes_a_data_set_with_its_vocabulary_and_oracle(tmp_path):
    found = yt8m("synth", "--level", "video", "--videos", 40, "--labels", 5, "data", cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    assert found.stdout == "40 synthetic video-level videos with 5 labels in data\n"
    assert json.loads((tmp_path / "data" / "oracle.json").read_text())["synthetic"] is True
    assert len((tmp_path / "data" / "vocabulary.csv").read_text().splitlines()) == 6
