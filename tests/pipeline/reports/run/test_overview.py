"""The front page: scores and their sources, the verdict, the pushed version, and the banner of synthetic data."""

import math
import re

import pytest

from components.evaluator.verdict import Verdict


def test_the_first_page_names_the_run_and_shows_every_score_with_its_source(reported_run, report):
    page = report["index"]
    assert page.text.startswith("netvlad-100-gated")
    assert f"Data {reported_run.settings.data.pattern} Level frame" in page.text
    assert page.rows[0] == ["split", "videos", "F1", "precision", "recall", "thesis F1"]
    assert page.rows[1:4] == [
        ["train training log, epoch 2 of 3", "4", "0.4100", "", "", "0.824"],
        ["validation training log, epoch 2 of 3", "2", "0.5100", "", "", ""],
        ["test Evaluator", "2", "0.8123", "0.7123", "0.9123", "0.767"],
    ]
    assert ["StatisticsGen", "done", "12.3", "2,345"] in page.rows
    assert "full data set of the thesis, ours on 4 training videos and 2 test videos" in page.text
    assert "Blessed f1 0.8123 is at least the required 0" in page.text
    assert "Not blessed" not in page.text


def test_the_front_page_begins_with_three_scores_and_their_intervals(report):
    text = report["index"].text
    for score in ("F1 0.8123 0.8023 to 0.8323", "GAP@20 0.9000 0.8900 to 0.9200", "Hit@1 0.5000 0.4900 to 0.5200"):
        assert score in text
    assert "Measured on 2 test videos; in small print the 95% intervals" in text


def test_scores_without_an_interval_or_that_are_not_there_leave_no_gap(frame_run):
    verdict = Verdict.read(frame_run.outputs("Evaluator")["evaluation"])
    overall = verdict.overall.model_copy(update={"scores": {"f1": math.nan, "gap": 0.9}, "intervals": {}})
    frame_run.change_verdict(slices=[overall])
    assert "Scores F1 nan GAP@20 0.9000 Measured on" in frame_run.first_page().text


def test_the_front_page_is_small_and_shows_the_training_curve_and_the_label_frequencies(report):
    page = report["index"]
    plots = re.findall(r'<svg role="img" aria-label="([^"]*)"', page.html)
    assert plots == [
        "F1 by epoch: training from 0.31 to 0.51; validation from 0.41 to 0.61; the best epoch is 2",
        "Videos of the train split that have a label, by label id: 1 to 4",
    ]
    assert len(page.html) < 60_000
    ids = re.findall(r' id="([^"]*)"', page.html)
    assert ids and len(ids) == len(set(ids))


def test_a_step_links_to_the_page_with_its_results(report):
    links = re.findall(r'<th><a href="(\w+)\.html">(\w+)</a>', report["index"].html)
    assert links == [
        ("statistics", "DatasetStatistics"),
        ("anomalies", "ExampleValidator"),
        ("anomalies", "DriftDetector"),
        ("training", "Trainer"),
        ("evaluation", "Evaluator"),
    ]


def test_an_experiment_that_the_thesis_does_not_have_is_not_compared_with_it(frame_run):
    frame_run.settings = frame_run.settings.model_copy(update={"published": None})
    page = frame_run.first_page()
    assert page.rows[0] == ["split", "videos", "F1", "precision", "recall"]
    assert page.rows[3] == ["test Evaluator", "2", "0.8123", "0.7123", "0.9123"]
    assert "thesis" not in page.text


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"pushed": 1, "pushed_version": "17"}, "Model pushed as version 17 Serving"),
        ({"pushed": 0}, "Model not pushed Serving"),
        ({"pushed": 0, "pushed_version": "17"}, "not pushed: it is version 17, which serves already"),
    ],
)
def test_the_first_page_says_what_was_pushed(frame_run, properties, expected):
    frame_run.steps[-1].properties = {"pushed_model": properties}
    assert expected in frame_run.first_page().text


def test_a_model_that_is_not_blessed_is_shown_with_the_reasons(frame_run):
    reasons = ["f1 0.8123 is below the required 0.9", "no other model serves yet, so there is none to compare with"]
    frame_run.change_verdict(blessed=False, reasons=reasons)
    frame_run.scores = frame_run.scores.model_copy(update={"blessed": False, "model_version": None})
    first = frame_run.first_page()
    for page in (first, frame_run.evaluation_page()):
        assert f"Not blessed {' '.join(reasons)}" in page.text
    assert "Serving no model yet" in first.text


def test_every_page_says_that_the_data_are_synthetic_and_what_the_best_score_is(synthetic_video_report):
    for page in synthetic_video_report.values():
        assert "Synthetic data." in page.text
        assert "micro F1 of 0.9321 on 1,200 videos." in page.text


def test_synthetic_data_without_an_oracle_are_called_so(frame_run):
    frame_run.describe_data({"synthetic": True})
    text = frame_run.first_page().text
    assert "Synthetic data." in text and "micro F1 of" not in text


def test_real_data_are_not_called_synthetic(report):
    assert all("Synthetic" not in page.text for page in report.values())
