"""The pages about the data: what TFDV counted, what the ingest refused, what is anomalous."""


def test_the_data_page_counts_videos_labels_and_frames_of_each_split(report):
    page = report["statistics"]
    assert page.rows[1:4] == [
        ["train", "4", "1.50", "3", "60", "152.8", "300"],
        ["validation", "2", "1.00", "2", "100", "150.0", "200"],
        ["test", "2", "1.50", "2", "10", "205.0", "400"],
    ]
    train = page.rows[5:8]
    assert train[0] == ["Cat", "4", "100.0%"]
    assert sorted(train[1:]) == [["<script>alert(1)</script>", "1", "25.0%"], ["Tom & Jerry", "1", "25.0%"]]


def test_the_data_page_of_video_level_data_has_no_frames(video_run):
    page = video_run.report()["statistics"]
    assert page.rows[0] == ["split", "videos", "labels a video", "distinct labels (of 3)"]
    assert page.rows[1] == ["train", "4", "1.50", "3"]


def test_the_data_page_tells_what_the_ingest_refused_and_mended(frame_run):
    frame_run.change_summary(
        videos={"train": 4000, "validation": 2, "test": 2},
        quarantined=7,
        first_quarantined=["/data/<b>.tfrecord, record 3: rgb has 1000 bytes a frame, expected 1024"],
        cut_to_max_frames=31,
        repeated_labels=41,
        duplicates={"test and train": 51, "within test": 61},
    )
    text = frame_run.report()["statistics"].text
    for expected in (
        "Videos, train 4,000",
        "Quarantined 7 of 4,011 records",
        "/data/<b>.tfrecord, record 3: rgb has 1000 bytes a frame, expected 1024",
        f"all of them are in {frame_run.outputs('ExampleGen')['quarantine']}",
        "Cut to 300 frames 31 videos",
        "Label listed twice 41 videos, kept once",
        "Ids that repeat 51 test and train, 61 within test",
    ):
        assert expected in text


def test_the_anomalies_page_tells_in_words_what_is_wrong_with_each_split(report):
    text = report["anomalies"].text
    assert "train none found validation none found test num_frames : Out-of-range values. Unexpectedly large" in text


def test_the_anomalies_page_says_so_for_every_split_where_there_is_none(video_run):
    assert video_run.report()["anomalies"].text.count("none found") == 3
