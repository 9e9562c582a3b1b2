"""The page about the test split: scores, slices and the champion."""

import re


def test_the_evaluation_page_shows_scores_and_slices(report):
    page = report["evaluation"]
    assert page.rows[:4] == [["score", "this model"], ["F1", "0.8123"], ["precision", "0.7123"], ["recall", "0.9123"]]
    assert page.rows[5] == ["001-060", "nan", "0.5300", "0.7300", "1"]
    assert page.rows[7:] == [["1", "0.6100", "0.5100", "0.7100", "1"], ["2", "0.6200", "0.5200", "0.7200", "1"]]
    assert re.findall(r'<i style="width: ([\d.]+)%">', page.html) == ["0.0", "61.0", "62.0"]
    assert "champion" not in page.text


def test_the_evaluation_page_of_video_level_data_has_no_slices_by_frames(video_run):
    text = video_run.report()["evaluation"].text
    assert "By number of labels" in text
    assert "By number of frames" not in text


def test_the_evaluation_page_compares_with_the_champion(frame_run):
    frame_run.change_verdict(champion_version="16", champion={"f1": 0.9, "precision": 0.7, "recall": 0.9123})
    page = frame_run.report()["evaluation"]
    assert page.rows[:4] == [
        ["score", "this model", "champion (version 16)", "change"],
        ["F1", "0.8123", "0.9000", "-0.0877"],
        ["precision", "0.7123", "0.7000", "+0.0123"],
        ["recall", "0.9123", "0.9123", "+0.0000"],
    ]
