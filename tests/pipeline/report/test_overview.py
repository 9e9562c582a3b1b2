"""The first page: scores and their sources, the verdict, what was pushed; and the banner of synthetic data."""

import json
from pathlib import Path

import pytest


def test_the_first_page_names_the_run_and_shows_every_score_with_its_source(frame_run):
    page = frame_run.report()["index"]
    assert page.text.startswith("netvlad-100-gated")
    assert f"Data {frame_run.settings.data.pattern} Level frame" in page.text
    assert page.rows[0] == ["split", "videos", "F1", "precision", "recall", "thesis F1"]
    assert page.rows[1:4] == [
        ["train training log, epoch 2 of 3", "4", "0.4100", "", "", "0.824"],
        ["validation training log, epoch 2 of 3", "2", "0.5100", "", "", ""],
        ["test Evaluator", "2", "0.8123", "0.7123", "0.9123", "0.767"],
    ]
    assert ["StatisticsGen", "done", "12.3", "2,345"] in page.rows
    assert "full data set of the thesis, ours on 4 training and 2 test videos" in page.text
    assert "Blessed f1 0.8123 is at least the required 0" in page.text
    assert "Not blessed" not in page.text


def test_an_experiment_that_the_thesis_does_not_have_is_not_compared_with_it(frame_run):
    frame_run.settings = frame_run.settings.model_copy(update={"published": None})
    page = frame_run.report()["index"]
    assert page.rows[0] == ["split", "videos", "F1", "precision", "recall"]
    assert page.rows[3] == ["test Evaluator", "2", "0.8123", "0.7123", "0.9123"]
    assert "thesis" not in page.text


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"pushed": 1, "pushed_version": "17"}, "Model pushed as version 17 Serving"),
        ({"pushed": 0}, "Model nothing pushed Serving"),
        ({"pushed": 0, "pushed_version": "17"}, "nothing pushed: version 17 that serves is this model"),
    ],
)
def test_the_first_page_says_what_was_pushed(frame_run, properties, expected):
    frame_run.steps[-1].properties = {"pushed_model": properties}
    assert expected in frame_run.report()["index"].text


def test_a_model_that_is_not_blessed_is_shown_with_the_reasons(frame_run):
    reasons = ["f1 0.8123 is below the required 0.9", "no other model serves yet, so there is none to compare with"]
    frame_run.change_verdict(blessed=False, reasons=reasons)
    frame_run.scores |= {"blessed": False, "model_version": None}
    pages = frame_run.report()
    for page in ("index", "evaluation"):
        assert f"Not blessed {' '.join(reasons)}" in pages[page].text
    assert "Serving nothing yet" in pages["index"].text


@pytest.mark.parametrize("oracle", [{"micro_f1": 0.93214, "videos": 1200}, None])
def test_every_page_says_that_the_data_are_synthetic(frame_run, oracle):
    described = {"synthetic": True} | ({"oracle": oracle} if oracle else {})
    (Path(frame_run.settings.data.pattern) / "oracle.json").write_text(json.dumps(described))
    for page in frame_run.report().values():
        assert "Synthetic data." in page.text
        assert ("micro F1 of 0.9321 on all 1,200 of them" in page.text) == (oracle is not None)


@pytest.mark.parametrize("content", [None, '{"synthetic": false}', "not JSON", "[1]"])
def test_real_data_are_not_called_synthetic(frame_run, content):
    if content:
        (Path(frame_run.settings.data.pattern) / "oracle.json").write_text(content)
    assert all("Synthetic" not in page.text for page in frame_run.report().values())
