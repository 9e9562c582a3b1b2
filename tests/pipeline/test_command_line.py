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


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["experiments"], ["experiments", "show", "thesis-best"], ["run", "--help"], ["submit", "--help"]],
)
def test_help_and_lists_answer_within_a_second(arguments):
    yt8m(*arguments)  # the first call may compile bytecode
    started = time.monotonic()
    assert yt8m(*arguments).returncode == 0
    assert time.monotonic() - started < 1


def test_experiments_as_json():
    entries = {entry["name"]: entry for entry in json.loads(yt8m("experiments", "--json").stdout)}
    assert entries["average-2304-1152"]["published"]["f1_test"] == 0.776
    assert entries["netvlad-8"]["published"] is None
    assert {"name", "level", "model", "training", "published"} <= entries["netvlad-8"].keys()


def test_experiments_are_listed_by_table_and_encoder(tmp_path):
    assert yt8m("experiments", "--table", 9, "--encoder", "gru").stdout.splitlines() == [
        "name                level  encoder  published in    test F1",
        "gru-2x1200          frame  gru      table 9, row 1  0.000",
        "gru-2x1200-clipped  frame  gru      table 9, row 2  0.670",
        "gru-2x400           frame  gru      table 9, row 3  0.753",
    ]
    (tmp_path / "mine.yaml").write_text("mine: {base: gru-2x400}")
    listed = yt8m("experiments", "--encoder", "gru", "--experiment-file", tmp_path / "mine.yaml").stdout
    assert listed.splitlines()[-1].split() == ["mine", "frame", "gru", "ours"]


def test_an_experiment_is_shown_with_its_costs_and_what_was_published():
    shown = yt8m("experiments", "show", "thesis-best").stdout
    assert shown.splitlines()[:6] == [
        "# Published: table 15, row 2 of the thesis",
        "#   F1 0.778 on test, 0.837 on train",
        "#   precision 0.825, recall 0.734 on test",
        "#   6 epochs of 104 minutes",
        "# Size: 158,652,574 parameters with 3862 labels",
        "# Work: 0.447 GFLOPs to classify a video of 300 frames",
    ]
    assert "    hidden_units: [6000, 3000]" in shown.splitlines()
    entry = json.loads(yt8m("experiments", "show", "average-logistic", "--classes", 10, "--json").stdout)
    assert (entry["parameters"], entry["flops"], entry["published"]["epochs"]) == (1153 * 10, 2 * 1152 * 10, 35)


def test_an_experiment_of_ones_own_is_found_by_run_and_show(tmp_path):
    (tmp_path / "mine.yaml").write_text("mine: {base: netvlad-8, model: {hidden_units: [3]}}")
    found = yt8m("experiments", "show", "mine", "--experiment-file", "mine.yaml", cwd=tmp_path)
    assert "    hidden_units: [3]" in found.stdout.splitlines() and "Published" not in found.stdout
    own = ["--experiment", "mine", "--experiment-file", "mine.yaml"]
    found = yt8m("run", "--data", "nowhere", *own, cwd=tmp_path)
    assert "error: data: no file matches" in found.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--data", "x", "--experiment", "nope"], "error: experiment is 'nope', allowed:"),
        (["experiments", "--table", 3], "error: --table is 3, allowed: 4, 5, "),
        (["experiments", "--json", "show", "netvlad-8"], "options of `show` come after it"),
        (["experiments", "show", "nope"], "error: experiment is 'nope', allowed:"),
        (["experiments", "--experiment-file", "no.yaml"], "error: --experiment-file is 'no.yaml': No such file"),
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
