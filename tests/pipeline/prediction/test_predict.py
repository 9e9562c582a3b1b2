"""`yt8m predict`: the served model's predictions in the order of the records; rejected records are named."""

import csv
import io
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from components.example_gen.input_files import find_files
from components.example_gen.packing import pack
from models.metrics.bootstrap import REPLICATES, interval
from models.metrics.video_metrics import VideoMetrics
from pipeline.prediction.output import csv_line, json_line
from pipeline.prediction.prediction import Answer, Prediction
from pipeline.prediction.pushed_model import PushedModel
from pipeline.prediction.records import Records

NAMES = tuple(f"name {label}" for label in range(25))  # of the models
THRESHOLD = 0.4


@pytest.fixture
def records(frame_record, video_record):
    """`(level, count, labels=(0,))` -> records with the ids 0000, 0001 ..."""

    def build(level, count, labels=(0,)):
        if level == "frame":
            return [frame_record(f"{n:04d}", labels, frames=1 + 29 * n) for n in range(count)]
        return [video_record(f"{n:04d}", labels) for n in range(count)]

    return build


@pytest.fixture
def predict(yt8m):
    """Runs the command: standard output, standard error, exit code."""

    def run(model, data, *arguments):
        answer = yt8m("predict", model, "--data", data, *arguments)
        return answer.out, answer.err, answer.code

    return run


@pytest.mark.parametrize(
    ("model", "level"),
    [
        ("netvlad", "frame"),
        ("frame-average", "frame"),
        ("frame-average", "video"),
        ("average", "video"),
        ("average", "frame"),
    ],
)
def test_predictions_are_those_of_the_served_model(runs, records, write_shard, tmp_path, predict, model, level):
    raw = records(level, 12)  # of up to 320 frames: the first 300 are used
    data = write_shard(tmp_path / "a.tfrecord", raw)
    served = tf.saved_model.load(str(runs / model / "serving" / "7")).signatures["serving_default"]
    expected = served(examples=tf.constant(raw))
    out, _, code = predict(runs / model, data, "--format", "jsonl", "--batch", 5)
    answers = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and [answer["id"] for answer in answers] == [f"{n:04d}" for n in range(12)]
    for answer, indices, names, scores in zip(
        answers, expected["indices"].numpy(), expected["labels"].numpy(), expected["scores"].numpy(), strict=True
    ):
        assert [label["id"] for label in answer["labels"]] == indices.tolist()
        assert [label["name"].encode() for label in answer["labels"]] == names.tolist()
        assert [label["score"] for label in answer["labels"]] == pytest.approx(scores.tolist(), abs=1e-6)


def test_predictions_follow_the_order_of_files_and_records_for_any_batch_size(
    runs, video_record, write_shard, tmp_path, predict
):
    for shard in (2, 0, 1):
        write_shard(tmp_path / "data" / f"{shard}.tfrecord", [video_record(f"{shard}{n:03d}") for n in range(5)])
    out = tmp_path / "out.csv"
    answers = []
    for model, batch in ((runs / "average", 4), (runs / "average" / "serving", 15), (runs / "average/serving/7", 64)):
        shown, _, code = predict(model, tmp_path / "data", "--out", out, "--batch", batch, "--top", 3)
        assert (shown, code) == ("", 0) and [path.name for path in tmp_path.glob("*out*")] == ["out.csv"]
        header, *rows = csv.reader(io.StringIO(out.read_text(), newline=""))
        assert header == ["VideoId", "LabelConfidencePairs"]
        assert [row[0] for row in rows] == [f"{shard}{n:03d}" for shard in range(3) for n in range(5)]
        answers.append([[float(value) for value in row[1].split(" ")] for row in rows])
        assert {len(answer) for answer in answers[-1]} == {6}
    assert answers[0] == [pytest.approx(answer, abs=2e-6) for answer in answers[1]]
    assert answers[0] == [pytest.approx(answer, abs=2e-6) for answer in answers[2]]


@pytest.mark.parametrize("video_id", ["a,b", 'a"b', "a\nb", "a\rb", '",\r\n"', "", " a ", "é"])
def test_any_id_is_read_back_from_both_formats(video_id):
    answer = Answer(video_id.encode(), [3, 12], [0.25, 1.5e-7])
    text = csv_line(Answer(b"first", [], [])) + csv_line(answer)
    assert list(csv.reader(io.StringIO(text, newline=""))) == [["first", ""], [video_id, "3 0.25 12 1.5e-07"]]
    assert json.loads(json_line(answer, NAMES)) == {
        "id": video_id,
        "labels": [{"id": 3, "name": "name 3", "score": 0.25}, {"id": 12, "name": "name 12", "score": 1.5e-7}],
    }


def test_an_id_that_is_not_text_is_written_with_its_bytes():
    answer = Answer(b"\xff\x00a", [], [])
    assert csv_line(answer) == "\\xff\x00a,\n"
    assert json.loads(json_line(answer, NAMES))["id"] == "\\xff\x00a"


def test_rejected_records_are_named_and_left_out(
    runs, frame_record, video_record, write_shard, tmp_path, predict, yt8m
):
    good = [video_record("good", None), video_record("fine", [99])]  # labels may be missing or unknown
    bad = [
        b"\x0a\xff",
        frame_record("xxxx"),
        video_record("yyyy", mean_rgb=np.zeros(5)),
        video_record("zzzz", mean_rgb=np.full(1024, 3e38)),
    ]
    data = write_shard(tmp_path / "data" / "a.tfrecord", [good[0], *bad, good[1], video_record("lost")])
    data.write_bytes(data.read_bytes()[:-9] + bytes(9))
    out, err, code = predict(runs / "average", tmp_path / "data", "--top", 1)
    assert code == 3 and [line.split(",")[0] for line in out.splitlines()] == ["VideoId", "good", "fine"]
    reasons = {
        1: "not a tf.Example or tf.SequenceExample",
        2: "frame-level record in a video-level data set",
        3: "mean_rgb has 5 values, expected 1,024",
        4: "mean_rgb[0] is 3e+38, expected -1.992 to 2.008",
        6: "the checksum of the record is wrong",
    }
    *lines, last = err.splitlines()
    assert last == "5 records rejected, 2 videos answered"
    for (number, reason), line in zip(reasons.items(), lines, strict=True):
        assert line.startswith(f"rejected: {data}, record {number}: {reason}")
    words = " ".join(yt8m("predict", "--help").out.split())
    assert "exit code is then 3" in words and "can run code that its author put into it" in words


def test_all_rejected_records_are_printed_and_counted(runs, video_record, write_shard, tmp_path, predict):
    data = write_shard(tmp_path / "a.tfrecord", [video_record("good"), *[b"bad"] * 12])
    out, err, code = predict(runs / "average", data, "--out", tmp_path / "out", "--json")
    done = json.loads(out)
    assert (code, done["videos"], done["skipped"], len(done["first_skipped"])) == (3, 1, 12, 10)
    assert len(err.splitlines()) == 13 and err.splitlines()[-1] == "12 records rejected, 1 video answered"


def test_evaluation_gives_the_scores_of_the_metrics(runs, frame_record, write_shard, tmp_path, predict):
    # The videos differ so much that rounding does not change their ranks.
    codes = [np.random.default_rng(n).integers(0, 16 + 6 * n, (2 + n % 7, 1024), np.uint8) for n in range(40)]
    raw = [frame_record(f"{n:04d}", {n % 25, 3 * n % 25, 24}, len(rgb), rgb) for n, rgb in enumerate(codes)]
    unlabelled, unknown = frame_record("none", None), frame_record("what", [25])
    data = write_shard(tmp_path / "a.tfrecord", [*raw[:30], unlabelled, unknown, *raw[30:]])
    arguments = "--evaluate", "--batch", 7, "--out", tmp_path / "out"
    out, err, code = predict(runs / "netvlad", data, *arguments, "--json")
    done = json.loads(out)
    assert (code, done["videos"], done["evaluated"], done["without_labels"], done["skipped"]) == (3, 41, 40, 1, 1)
    assert f"{data}, record 31: label 25 is unknown to the model, expected 0 to 24" in err

    packed = [pack(record, "frame", 25).example for record in raw]
    truth = np.zeros((40, 25))
    for row, example in zip(truth, packed, strict=True):
        row[list(tf.train.Example.FromString(example).features.feature["labels"].int64_list.value)] = 1
    signature = tf.saved_model.load(str(runs / "netvlad" / "serving" / "7")).signatures["packed_examples"]
    metrics = VideoMetrics(25, REPLICATES, THRESHOLD)
    probabilities = signature(examples=tf.constant(packed))["probabilities"].numpy()
    metrics.update(probabilities, truth, [f"{n:04d}".encode() for n in range(40)])
    assert done["scores"] == pytest.approx(metrics.scores(THRESHOLD), abs=1e-6)
    assert 0.1 < done["scores"]["f1"] < 0.9 and "f1_at_threshold" in metrics.replicates()
    for name, replicates in metrics.replicates().items():
        assert done["intervals"][name] == pytest.approx(list(interval(replicates)), abs=1e-6)

    out, err, _ = predict(runs / "netvlad", data, *arguments)
    assert out == "" and "40 videos, 1 without labels left out" in err
    assert f"{done['intervals']['f1'][0]:.4f} to {done['intervals']['f1'][1]:.4f}" in err


def test_a_batch_without_a_usable_video_or_label_is_harmless(runs, video_record, write_shard, tmp_path, predict):
    too_large = video_record("zzzz", mean_rgb=np.full(1024, 3e38))
    data = write_shard(tmp_path / "a.tfrecord", [too_large, video_record("none", None), video_record("good", [2])])
    out, _, code = predict(runs / "average", data, "--evaluate", "--batch", 1, "--out", tmp_path / "out", "--json")
    done = json.loads(out)
    assert (code, done["videos"], done["evaluated"], done["without_labels"], done["skipped"]) == (3, 2, 1, 1, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["runs/netvlad", "--data", "means"], "holds a model of frames, the data are video-level records (no frames)"),
        (["runs/nothing", "--data", "means"], "'runs/nothing' holds no pushed model, expected a run's folder, its"),
        (["runs", "--data", "means"], "'runs' holds no pushed model, expected a run's folder, its serving/ or a"),
        (["runs/average", "--data", "nowhere"], "data: no file matches 'nowhere'"),
        (["runs/average", "--data", "bad"], "no readable record in 1 file; first: "),
        (["runs/average", "--data", "means", "--out", "means"], "--out is 'means': Is a directory, expected a file"),
        (["runs/average", "--data", "means", "--out", "no/x"], "--out is 'no/x': No such file or directory, expected"),
        (["runs/frame-average", "--data", "means", "--evaluate"], "gives only the 20 best labels of video-level"),
        (["runs/average", "--data", "means", "--evaluate"], "--evaluate: no video carries labels (1 read)"),
    ],
)
def test_a_mistake_is_one_line(runs, tmp_path, monkeypatch, write_shard, video_record, yt8m, arguments, message):
    write_shard(tmp_path / "means" / "a.tfrecord", [video_record("aaaa", None)])
    write_shard(tmp_path / "bad" / "a.tfrecord", [b"bad"])
    (tmp_path / "runs").symlink_to(runs)
    monkeypatch.chdir(tmp_path)
    answer = yt8m("predict", *arguments)
    assert answer.code == 2
    assert answer.err.startswith("error: ") and message in answer.err and answer.err.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"means", "bad", "runs"}


def test_one_batch_is_read_ahead(runs, video_record, write_shard, tmp_path):
    for shard in range(3):
        write_shard(tmp_path / f"{shard}.tfrecord", [video_record(f"{n:04d}") for n in range(10)])
    read = []
    model, files = PushedModel(str(runs / "average"), "video"), find_files(str(tmp_path))
    answers = Prediction(model, Records(files, "video", progress=read.append), batch_size=8, top=1).answers()
    for answered, _ in enumerate(answers):
        assert len(read) <= 8 * (answered // 8 + 1) + 3  # the end of each file is reported too
    assert read == sorted(read) and read[-1] == files.size


def test_a_closed_pipe_ends_it_silently_and_tfx_is_not_loaded(runs, video_record, write_shard, tmp_path):
    data = write_shard(tmp_path / "a.tfrecord", [video_record()])
    program = """
import sys
from pipeline.cli import main
try:
    main()
finally:
    heavy = {"tfx", "tensorflow_model_analysis", "tensorflow_transform", "ml_metadata"}
    print(set(sys.modules) & heavy, file=sys.stderr)
"""
    command = [sys.executable, "-c", program, "predict", runs / "average", "--data", data]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        assert (process.wait(), process.stderr.read()) == (1, "set()\n")


def test_names_of_model_and_data_may_look_like_patterns(runs, video_record, write_shard, tmp_path, predict):
    model = shutil.copytree(runs / "average", tmp_path / "lr [0.01] *")
    data = write_shard(tmp_path / "yt8m [2018]" / "a?.tfrecord", [video_record("aaaa")])
    plain, _, _ = predict(runs / "average", data)
    out, err, code = predict(model, data.parent)
    assert (code, err) == (0, "") and out == plain
