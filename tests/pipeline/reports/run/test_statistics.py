"""The pages about the data: counts of each split, rejected records, anomalies."""

import re

import pytest

from components.dataset_statistics.statistics import Statistics
from components.drift_detector.drift import compare
from components.drift_detector.settings import DriftSettings

SCRIPT = "<script>alert(1)</script>"


def test_the_data_page_has_the_rows_of_the_thesis_tables(report):
    page = report["statistics"]
    assert page.rows[:9] == [
        ["statistic", "train", "validation", "test"],
        ["video count", "4", "2", "2"],
        ["max frequency", "4 (Cat)", f"1 ({SCRIPT}, Tom & Jerry)", "2 (Cat)"],
        ["min frequency", f"1 ({SCRIPT}, Tom & Jerry)", "0", "0"],
        ["absent labels", "none", "Cat", "Tom & Jerry"],
        ["average label count", "1.50", "1.00", "1.50"],
        ["least, median, most labels", "1, 1, 2", "1, 1, 1", "1, 1, 2"],
        ["average frame count", "152.75", "150.00", "155.00"],
        ["least, median, most frames", "60, 120, 300", "100, 100, 200", "10, 10, 300"],
    ]
    assert "1 label without a video in validation Cat 1 label without a video in test Tom & Jerry" in page.text


def test_the_data_page_names_frequent_labels_and_pairs(report):
    rows = report["statistics"].rows
    frequent = rows.index(["label", "videos", "share"])
    assert rows[frequent + 1] == ["Cat", "4", "100.0%"]
    assert [row[0] for row in rows[frequent + 2 : frequent + 4]] == [SCRIPT, "Tom & Jerry"]
    pairs = rows.index(["labels", "videos", "share"])
    assert rows[pairs + 1 : pairs + 3] == [[f"{SCRIPT} + Cat", "1", "25.0%"], ["Cat + Tom & Jerry", "1", "25.0%"]]
    assert "No video has two labels." in report["statistics"].text


def test_the_data_page_shows_whether_the_splits_agree(report):
    text = report["statistics"].text
    assert "train and validation agree: their distance is 0." in text
    assert "No label is more or less frequent in a split than chance explains." in text


def test_the_data_page_plots_labels_frames_and_features(report):
    plots = re.findall(r'<svg role="img" aria-label="([^"]*)"', report["statistics"].html)
    assert plots[0].endswith("by label id: 1 to 4")
    assert [plot.partition(":")[0] for plot in plots] == [
        *(f"Videos of the {split} split that have a label, by label id" for split in ("train", "validation", "test")),
        "Labels per video",
        "Frames per video",
        "rgb, train split",
        "audio, train split",
    ]
    ids = re.findall(r' id="([^"]*)"', report["statistics"].html)
    assert len(ids) == len(set(ids))


def test_the_data_page_of_video_level_data_has_no_frames(synthetic_video_report):
    page = synthetic_video_report["statistics"]
    assert "average frame count" not in [row[0] for row in page.rows]
    assert page.rows[5] == ["average label count", "1.50", "1.00", "1.50"]
    assert "Frames per video" not in page.text


@pytest.fixture
def troubled_run(frame_run):
    """A run with rejected records, and with other labels than the serving model's."""
    frame_run.change_summary(
        videos={"train": 4000, "validation": 2, "test": 2},
        quarantined=7,
        first_quarantined=["/data/<b>.tfrecord, record 3: rgb has 1000 bytes a frame, expected 1024"],
        cut_to_max_frames=31,
        repeated_labels=41,
        duplicates={"test and train": 51, "within test": 61},
    )
    before = Statistics.read(frame_run.outputs("DatasetStatistics")["statistics"])
    train = before.splits["train"]
    now, before = (
        before.model_copy(
            update={"splits": {"train": train.model_copy(update={"label_frequency": counts, "videos": 4000})}}
        )
        for counts in ((4000, 0, 0), (0, 4000, 0))
    )
    compare(before, now, "17", DriftSettings()).write(frame_run.outputs("DriftDetector")["drift"])
    return frame_run


def test_rejected_and_changed_records_and_drift_are_shown_in_words_and_numbers(troubled_run, report):
    pages = troubled_run.report()
    for expected in (
        "Used records 4,004 of 4,011",
        "Rejected records 7",
        "/data/<b>.tfrecord, record 3: rgb has 1000 bytes a frame, expected 1024",
        f"all are listed in {troubled_run.outputs('ExampleGen')['quarantine']}",
        "Cut to 300 frames 31 videos",
        "Repeated labels in 41 videos, each label kept once",
        "Repeated ids 51 (test and train), 61 (within test)",
    ):
        assert expected in pages["statistics"].text
    assert "no model serves yet" in report["anomalies"].text
    page = pages["anomalies"]
    assert f"1 label appeared: {SCRIPT} (100.00% of the videos)" in page.text and "script" not in page.tags
    assert [SCRIPT, "0.0%", "100.0%"] in page.rows and ["Cat", "100.0%", "0.0%"] in page.rows
    assert ["distance of the labels", "1.000", "0.1", "0.020", "drift"] in page.rows
    assert ["distance of the numbers of frames", "0.000", "0.1"] in [row[:3] for row in page.rows]
    assert ["rgb 0", "-1.992", "-1.992", "0.000"] in page.rows


def test_the_anomalies_page_describes_the_anomalies_of_each_split(report):
    text = report["anomalies"].text
    assert "train No anomalies. validation No anomalies. test num_frames : Out-of-range values. Unexpectedly" in text


def test_the_anomalies_page_names_splits_without_anomalies(synthetic_video_report):
    assert synthetic_video_report["anomalies"].text.count("No anomalies.") == 3
