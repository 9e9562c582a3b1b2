"""The page about the test split: scores, slices, labels, videos and the champion."""

import re

from components.evaluator.page import evaluation_page
from components.evaluator.verdict import Verdict


def test_the_evaluation_page_shows_scores_with_their_intervals(report):
    page = report["evaluation"]
    assert page.rows[:7] == [
        ["score", "this model"],
        ["F1", "0.8123 0.8023 to 0.8323"],
        ["precision", "0.7123"],
        ["recall", "0.9123"],
        ["GAP@20", "0.9000 0.8900 to 0.9200"],
        ["Hit@1", "0.5000 0.4900 to 0.5200"],
        ["calibration error", "0.0100"],
    ]
    assert "champion" not in page.text


def test_the_evaluation_page_shows_slices(report):
    page = report["evaluation"]
    slices = [row for row in page.rows if row[0] in ("001-060", "1", "2")]
    assert slices == [
        ["001-060", "nan nan to nan", "0.5300", "0.7300", "0.8300", "1"],
        ["1", "0.6100 0.6000 to 0.6300", "0.5100", "0.7100", "0.8100", "1"],
        ["2", "0.6200 0.6100 to 0.6400", "0.5200", "0.7200", "0.8200", "1"],
    ]
    assert re.findall(r'<i style="width: ([\d.]+)%">', page.html)[:3] == ["0.0", "61.0", "62.0"]


def test_the_evaluation_page_of_video_level_data_has_no_slices_by_frames(synthetic_video_report):
    text = synthetic_video_report["evaluation"].text
    assert "By number of labels" in text
    assert "By number of frames" not in text


def test_the_evaluation_page_shows_single_videos_the_worst_first(report):
    videos = [row for row in report["evaluation"].rows if row[0] in ("good", "half")]
    assert [row[0] for row in videos[:2]] == ["half", "good"]
    assert videos[0][1:] == [
        "<script>alert(1)</script> 0.10 Cat 0.90",
        "Cat 0.90 Tom & Jerry 0.30 <script>alert(1)</script> 0.10",
    ]


def test_the_evaluation_page_lists_the_best_and_the_worst_labels_that_occur_often_enough(frame_run):
    verdict = Verdict.read(frame_run.outputs("Evaluator")["evaluation"])
    counts = {"true_positives": [9, 0, 4], "predicted": [10, 3, 4], "actual": [12, 7, 4]}
    verdict = verdict.model_copy(update={"details": verdict.details.model_copy(update=counts)})
    html = evaluation_page(verdict, ("often right", "always wrong", "rare"), subject="", synthetic=None, navigation={})
    best, worst = html.index("Best labels"), html.index("Worst labels")
    assert best < html.index("often right") < worst < html.index("always wrong", worst)
    assert "0.818" in html  # 2 * 9 / (10 + 12)
    assert ">rare<" not in html


def test_the_evaluation_page_compares_with_the_champion(frame_run):
    frame_run.set_champion("16", f1=0.9, precision=0.7, recall=0.9123)
    page = frame_run.evaluation_page()
    assert page.rows[:5] == [
        ["score", "this model", "champion (version 16)", "change"],
        ["F1", "0.8123 0.8023 to 0.8323", "0.9000", "-0.0877 -0.1000 to +0.0500"],
        ["precision", "0.7123", "0.7000", "+0.0123"],
        ["recall", "0.9123", "0.9123", "+0.0000"],
        ["GAP@20", "0.9000 0.8900 to 0.9200", "\N{EN DASH}", ""],
    ]


def test_the_evaluation_page_of_a_first_model_shows_what_the_constant_prediction_scores(frame_run):
    frame_run.change_verdict(constant={"f1": 0.3, "gap": 0.2})
    page = frame_run.evaluation_page()
    assert page.rows[:5] == [
        ["score", "this model", "constant prediction"],
        ["F1", "0.8123 0.8023 to 0.8323", "0.3000"],
        ["precision", "0.7123", "\N{EN DASH}"],
        ["recall", "0.9123", "\N{EN DASH}"],
        ["GAP@20", "0.9000 0.8900 to 0.9200", "0.2000"],
    ]
    assert "The constant prediction is the label frequencies of the training split for every video." in page.text


def test_groups_of_labels_are_compared_with_the_champions_without_the_differences_of_tfma(frame_run):
    verdict = Verdict.read(frame_run.outputs("Evaluator")["evaluation"])
    scores = verdict.overall.scores | {"f1/head": 0.8, "f1/tail": 0.3}
    frame_run.change_verdict(slices=[verdict.overall.model_copy(update={"scores": scores})])
    assert [row for row in frame_run.evaluation_page().rows if row[0] in ("head", "tail")] == [
        ["head", "0.8000"],
        ["tail", "0.3000"],
    ]
    scores |= {"f1/head_diff": 0.1, "f1/tail_diff": 0.1}
    frame_run.change_verdict(slices=[verdict.overall.model_copy(update={"scores": scores})])
    frame_run.set_champion("16", **{"f1/head": 0.7, "f1/tail": 0.2})
    rows = frame_run.evaluation_page().rows
    assert [row for row in rows if row[0].startswith(("head", "tail"))] == [
        ["head", "0.8000", "0.7000"],
        ["tail", "0.3000", "0.2000"],
    ]
