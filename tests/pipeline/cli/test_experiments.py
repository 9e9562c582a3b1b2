"""`yt8m experiments` and `yt8m experiments show`."""

import json


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


def test_an_experiment_is_shown_with_its_cost_and_published_results(yt8m):
    shown = yt8m("experiments", "show", "thesis-best").out
    assert shown.splitlines()[:6] == [
        "# Published: table 15, row 2 of the thesis",
        "#   F1 0.778 on test, 0.837 on train",
        "#   precision 0.825, recall 0.734 on test",
        "#   6 epochs of 104 minutes",
        "# Size: 158,652,574 parameters with 3862 labels",
        "# Work: 0.447 GFLOPs to classify a video of 300 frames",
    ]
    assert "    hidden_units: [6000, 3000]" in shown.splitlines()
    entry = json.loads(yt8m("experiments", "show", "average-logistic", "--classes", 10, "--json").out)
    assert (entry["parameters"], entry["flops"], entry["published"]["epochs"]) == (1153 * 10, 2 * 1152 * 10, 35)


def test_run_and_show_know_experiments_of_a_users_file(yt8m, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text("mine: {base: netvlad-8, model: {hidden_units: [3]}}")
    shown = yt8m("experiments", "show", "mine", "--experiment-file", "mine.yaml").out
    assert "    hidden_units: [3]" in shown.splitlines() and "Published" not in shown
    answer = yt8m("run", "--data", "nowhere", "--experiment", "mine", "--experiment-file", "mine.yaml")
    assert answer.code == 2 and "error: data: no file matches" in answer.err
