"""`yt8m predict --segments`: each segment is predicted as a video of five frames, in both formats."""

import csv
import io
import json
import re

import numpy as np
import pytest
import tensorflow as tf

from pipeline.prediction.best_segments import BestSegments

LABELS = 25  # of the models
IDS = ["aaaa", "bb,b", "none", "some"]
FRAMES = [23, 12, 4, 20]
SOME = {"segment_start_times": [13, 2, 13], "segment_end_times": [18, 7, 18]}
SOME |= {"segment_labels": [3, 4, 24], "segment_scores": [1.0, 0.0, 1.0]}
STARTS = [[0, 5, 10, 15], [0, 5], [], [2, 13]]


@pytest.fixture
def codes():
    return [np.random.default_rng(n).integers(0, 60 + 60 * n, (FRAMES[n], 1152), np.uint8) for n in range(4)]


@pytest.fixture
def data(codes, frame_record, write_shard, tmp_path):
    """Four videos: two without listed segments, one that is too short for any, one with ratings."""
    features = [{}, {}, {}, SOME]
    records = [
        frame_record(video_id, None, rgb=rows[:, :1024], audio=rows[:, 1024:], **own)
        for video_id, rows, own in zip(IDS, codes, features, strict=True)
    ]
    return write_shard(tmp_path / "data" / "a.tfrecord", records)


@pytest.fixture
def expected(runs, codes):
    """Probabilities of the segments of each video by the served signature, float32 [segments, labels]."""

    def of(model):
        signature = tf.saved_model.load(str(runs / model / "serving" / "7")).signatures["raw_tensors"]
        answers = []
        for rows, starts in zip(codes, STARTS, strict=True):
            frames = np.array([rows[start : start + 5] for start in starts], np.uint8).reshape(-1, 5, 1152)
            answer = signature(frames=tf.constant(frames), num_frames=tf.fill([len(starts)], 5))
            answers.append(answer["probabilities"].numpy())
        return answers

    return of


@pytest.mark.parametrize("model", ["netvlad", "frame-average"])
def test_each_segment_is_predicted_as_a_video_of_five_frames(runs, data, expected, yt8m, model):
    answer = yt8m("predict", runs / model, "--data", data, "--segments", "--format", "jsonl", "--batch", 3, "--top", 2)
    assert (answer.code, answer.err) == (0, "")
    lines = [json.loads(line) for line in answer.out.splitlines()]
    assert [line["id"] for line in lines] == IDS
    for line, starts, probabilities in zip(lines, STARTS, expected(model), strict=True):
        assert [(segment["start"], segment["end"]) for segment in line["segments"]] == [(s, s + 5) for s in starts]
        for segment, row in zip(line["segments"], probabilities, strict=True):
            best = np.argsort(-row, kind="stable")[:2]
            assert [label["id"] for label in segment["labels"]] == best.tolist()
            assert [label["name"] for label in segment["labels"]] == [f"name {label}" for label in best]
            assert [label["score"] for label in segment["labels"]] == pytest.approx(row[best].tolist(), abs=1e-5)


def test_a_video_level_model_of_means_predicts_segments_too(runs, data, yt8m):
    answer = yt8m("predict", runs / "average", "--data", data, "--segments", "--format", "jsonl")
    assert [len(json.loads(line)["segments"]) for line in answer.out.splitlines()] == [4, 2, 0, 2]


def test_scores_of_segments_are_multiplied_by_those_of_the_video(runs, data, codes, expected, yt8m):
    arguments = "--data", data, "--segments", "--format", "jsonl", "--top", 20, "--batch", 4
    answer = yt8m("predict", runs / "frame-average", *arguments, "--video-model", runs / "netvlad")
    signature = tf.saved_model.load(str(runs / "netvlad" / "serving" / "7")).signatures["raw_tensors"]
    for line, rows, probabilities in zip(answer.out.splitlines(), codes, expected("frame-average"), strict=True):
        whole = signature(frames=tf.constant(rows[None]), num_frames=tf.constant([len(rows)]))["probabilities"][0]
        for segment, row in zip(json.loads(line)["segments"], probabilities * whole, strict=True):
            for label in segment["labels"]:
                assert label["score"] == pytest.approx(float(row[label["id"]]), abs=1e-5)


def test_the_csv_has_the_best_segments_of_each_label(runs, data, expected, yt8m, tmp_path):
    wanted = tmp_path / "labels.csv"
    wanted.write_text("Index\n24\n3\n7\n")
    answer = yt8m("predict", runs / "netvlad", "--data", data, "--segments", "--most", 4, "--labels", wanted)
    assert (answer.code, answer.err) == (0, "")
    rows = list(csv.reader(io.StringIO(answer.out, newline="")))
    assert rows[0] == ["Class", "Segments"] and [row[0] for row in rows[1:]] == ["24", "3", "7"]
    best = BestSegments(LABELS, 4)
    for video_id, starts, probabilities in zip(IDS, STARTS, expected("netvlad"), strict=True):
        best.add(video_id.encode(), starts, probabilities)
    for label, segments in rows[1:]:
        assert segments.split(" ") == [f"{video_id.decode()}:{start}" for video_id, start in best.of(int(label))]


def test_rated_segments_are_scored(runs, data, expected, yt8m, tmp_path):
    arguments = "predict", runs / "netvlad", "--data", data, "--segments", "--evaluate", "--out", tmp_path / "out"
    done = json.loads(yt8m(*arguments, "--json").out)
    assert (done["ratings"], done["positives"], done["videos"]) == (3, 2, 4)
    # Label 4 has no positive rating; the others' only one is first.
    assert done["scores"] == pytest.approx({"map_at_k": 1.0, "map_at_k_rated": 2 / 3})
    assert "map_at_k_rated" in yt8m(*arguments).err
    assert len((tmp_path / "out").read_text().splitlines()) == LABELS + 1


def test_the_page_shows_labels_against_time_and_whether_ratings_agree(runs, data, expected, yt8m, tmp_path):
    page = tmp_path / "page.html"
    arguments = "predict", runs / "frame-average", "--data", data, "--segments", "--out", tmp_path / "out"
    assert yt8m(*arguments, "--page", page).code == 0
    html = page.read_text()
    assert [f"<code>{video_id}</code>" in html for video_id in IDS] == [True] * 4
    assert "shorter than a segment" in html and "://" not in html
    # All seconds of the rated video, of 20 frames, and the segments that its record lists.
    [rated] = [part for part in html.split("<h2>") if part.startswith("<code>some")]
    assert re.findall(r'scope="col">([\d:]+)', rated) == ["0:00", "0:02", "0:05", "0:10", "0:13", "0:15"]
    assert re.findall(r'scope="row">(.*?)<', rated)[:3] == ["name 3", "name 4", "name 24"]
    # Labels 3 and 24 hold at 13, label 4 does not at 2; predictions are those above the model's threshold 0.4.
    p = dict(zip(STARTS[3], expected("frame-average")[3], strict=True))
    said = [p[13][3] > 0.4, p[2][4] <= 0.4, p[13][24] > 0.4]
    marks = [("✓" if right else "✗") + sign for right, sign in zip(said, "+\u2212+", strict=True)]
    assert re.findall(r"<b>(..)</b>", rated) == marks
    assert yt8m(*arguments, "--page", page, "--show", "bb,b").code == 0
    assert page.read_text().count("<h2>") == 1 and "<code>bb,b</code>" in page.read_text()
    answer = yt8m(*arguments, "--page", tmp_path / "none.html", "--show", "<i>")
    assert (answer.code, answer.err) == (2, "error: --show is '<i>': no video of this id was answered\n")
    assert not (tmp_path / "none.html").exists()


def test_names_and_ids_on_the_page_are_escaped(runs, frame_record, write_shard, yt8m, tmp_path):
    path = write_shard(tmp_path / "a.tfrecord", [frame_record("<script>", None, frames=5)])
    arguments = "--data", path, "--segments", "--out", tmp_path / "out", "--page", tmp_path / "page.html"
    assert yt8m("predict", runs / "frame-average", *arguments).code == 0
    html = (tmp_path / "page.html").read_text()
    assert "<code>&lt;script&gt;</code>" in html and "<script" not in html


def test_the_page_of_synthetic_videos_says_so(runs, data, yt8m, tmp_path):
    arguments = "predict", runs / "frame-average", "--data", data, "--segments", "--out", tmp_path / "out"
    page = tmp_path / "page.html"
    assert yt8m(*arguments, "--page", page).code == 0 and "ynthetic data" not in page.read_text()
    (data.parent / "oracle.json").write_text('{"synthetic": true}')
    assert yt8m(*arguments, "--page", page).code == 0 and "ynthetic data" in page.read_text()


def test_bad_segments_and_unknown_rated_labels_are_reported(runs, frame_record, write_shard, tmp_path, yt8m):
    ratings = {"segment_start_times": [0, 9], "segment_end_times": [5, 14]}
    records = [
        frame_record("good", None, frames=12, **ratings),
        frame_record("what", None, frames=14, **ratings, segment_labels=[1, 25], segment_scores=[1.0, 0.0]),
        frame_record("known", None, frames=12, segment_start_times=[0], segment_end_times=[5]),
    ]
    path = write_shard(tmp_path / "a.tfrecord", records)
    arguments = "predict", runs / "netvlad", "--data", path, "--segments", "--format", "jsonl"
    answer = yt8m(*arguments)
    assert answer.code == 3 and [len(json.loads(line)["segments"]) for line in answer.out.splitlines()] == [1, 2, 1]
    assert "record 0: rating 1: the segment from 9 to 14 ends after the video, which has 12 frames" in answer.err
    answer = yt8m(*arguments, "--evaluate")
    assert "record 1: rated label 25 is unknown to the model, expected 0 to 24" in answer.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--segments", "--top", 3], "--top has no effect here, it needs --format jsonl or no --segments"),
        (["--most", 3], "--most has no effect here, it needs --segments and csv"),
        (["--page", "x"], "--page has no effect here, it needs --segments"),
        (["--segments", "--show", "x"], "--show has no effect here, it needs --page"),
        (["--video-model", "x"], "--video-model has no effect here, it needs --segments"),
        (["--labels", "labels.csv"], "--labels has no effect here, it needs --segments"),
        (["--segments", "--labels", "no.csv"], "--labels: cannot read 'no.csv': there is no such file"),
        (["--segments", "--labels", "other.csv"], "--labels other.csv: has no column Index, expected label ids in it"),
        (["--segments", "--labels", "labels.csv"], "--labels labels.csv, line 3: Index is '25', expected a label of"),
        (["--segments", "--evaluate"], "--evaluate: no segment has a rating (3 segments of 1 video read)"),
        (
            ["--segments", "--labels", "known.csv", "--out", "known.csv"],
            "would replace an input of the command",
        ),
        (["--segments", "--out", "x", "--page", "./x"], "--page is 'x', the file of --out"),
        (
            ["--segments", "--out", "x", "--page", "no/x"],
            "--page is 'no/x': No such file or directory",
        ),
        (["--segments", "--data", "means"], "--segments: means holds video-level records, segments need frames"),
    ],
)
def test_a_mistake_is_one_line(
    runs, yt8m, tmp_path, monkeypatch, write_shard, frame_record, video_record, arguments, message
):
    monkeypatch.chdir(tmp_path)
    write_shard(tmp_path / "frames" / "a.tfrecord", [frame_record(frames=16)])
    write_shard(tmp_path / "means" / "a.tfrecord", [video_record()])
    (tmp_path / "labels.csv").write_text("Index\n3\n25\n")
    (tmp_path / "other.csv").write_text("Label\n3\n")
    (tmp_path / "known.csv").write_text("Index\n3\n")
    answer = yt8m("predict", runs / "netvlad", "--data", "frames", *arguments)
    assert answer.code == 2 and message in answer.err
    assert not (tmp_path / "x").exists() and (tmp_path / "known.csv").read_text() == "Index\n3\n"
