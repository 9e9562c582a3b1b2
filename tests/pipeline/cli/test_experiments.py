"""`yt8m experiments` and `yt8m experiments show`."""

import json
import shlex
from pathlib import Path

import pytest


def test_experiments_as_json(yt8m):
    entries = {entry["name"]: entry for entry in json.loads(yt8m("experiments", "--json").out)}
    assert entries["average-2304-1152"]["published"]["f1_test"] == 0.776
    assert entries["netvlad-8"]["published"] is None
    assert {"name", "level", "model", "training", "published"} <= entries["netvlad-8"].keys()


def test_experiments_are_listed_by_table_and_encoder(yt8m, tmp_path):
    assert yt8m("experiments", "--table", 9, "--encoder", "gru").out.splitlines() == [
        "name                level  encoder  published in    test F1",
        "gru-2x1200          frame  gru      table 9, row 1  0.000",
        "gru-2x1200-clipped  frame  gru      table 9, row 2  0.670",
        "gru-2x400           frame  gru      table 9, row 3  0.753",
    ]
    (tmp_path / "mine.yaml").write_text("mine: {base: gru-2x400}")
    listed = yt8m("experiments", "--encoder", "gru", "--experiment-file", tmp_path / "mine.yaml").out
    assert listed.splitlines()[-1].split() == ["mine", "frame", "gru", "ours"]


def test_an_experiment_is_shown_with_its_published_results_command_and_cost(yt8m):
    shown = yt8m("experiments", "show", "thesis-best").out
    assert shown.splitlines()[:7] == [
        "# Published: table 15, row 2 of the thesis",
        "#   F1 0.778 on test, 0.837 on train",
        "#   precision 0.825, recall 0.734 on test",
        "#   6 epochs of 104 minutes",
        "# Command: yt8m run --data /data/yt8m/frame --experiment netvlad-100-gated-6000-3000-dropout35",
        "# Size: 158,652,574 parameters with 3,862 labels",
        "# Work: 0.447 GFLOPs to classify a video of 300 frames",
    ]
    assert "    hidden_units: [6000, 3000]" in shown.splitlines()
    entry = json.loads(yt8m("experiments", "show", "average-logistic", "--classes", 10, "--json").out)
    assert (entry["parameters"], entry["flops"], entry["published"]["epochs"]) == (1153 * 10, 2 * 1152 * 10, 35)


@pytest.mark.parametrize(
    ("name", "size"),
    [("ensemble", "the sum over its members"), ("neighbours", "they grow with the training videos")],
)
def test_the_size_of_a_model_without_layers_of_its_own_is_said_in_words(yt8m, name, size):
    assert f"# Size and work: {size}" in yt8m("experiments", "show", name).out.splitlines()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("average-logistic", []),
        ("transformer-grid", ["--tune"]),
        ("ensemble", ["--set", "model.encoder.members=[runs/a, runs/b]"]),
        ("mine", ["--experiment-file", "my models.yaml"]),
    ],
)
def test_the_command_of_an_experiment_can_be_copied_into_a_shell(yt8m, tmp_path, monkeypatch, name, options):
    monkeypatch.chdir(tmp_path)
    Path("my models.yaml").write_text("mine: {base: average-logistic}")
    from_file = ["--experiment-file", "my models.yaml"] if name == "mine" else []
    shown = json.loads(yt8m("experiments", "show", name, *from_file, "--json").out)
    assert shlex.split(shown["command"])[6:] == options


def test_run_and_show_know_experiments_of_a_users_file(yt8m, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text("mine: {base: netvlad-8, model: {hidden_units: [3]}}")
    shown = yt8m("experiments", "show", "mine", "--experiment-file", "mine.yaml").out
    assert "    hidden_units: [3]" in shown.splitlines() and "Published" not in shown
    answer = yt8m("run", "--data", "nowhere", "--experiment", "mine", "--experiment-file", "mine.yaml")
    assert answer.code == 2 and "error: data: no file matches" in answer.err
