"""Output of a run about its steps, and what it refuses before any work."""

import json
import os
from dataclasses import asdict

import keras_tuner
import pytest

from components.drift_detector.drift import Drift
from components.evaluator.details import Details
from components.evaluator.verdict import Slice, Verdict
from components.example_gen.ingest import Summary
from models.metrics.findings import Findings
from models.metrics.video_metrics import VideoMetrics
from pipeline.local.findings import findings
from pipeline.steps import StepRun


def hyperparameters_with(key, value):
    """KerasTuner's hyperparameters with a value that no search could have chosen."""
    hyperparameters = keras_tuner.HyperParameters()
    hyperparameters.Fixed(key, value)
    return hyperparameters.get_config()


def test_results_of_the_ingest_are_printed(tmp_path):
    summary = Summary(
        videos={"train": 1200, "test": 3},
        quarantined=2,
        first_quarantined=["a.tfrecord, record 7: has no labels, expected at least one"],
        cut_to_max_frames=4,
        repeated_labels=5,
        duplicates={"test and train": 6},
    )
    (tmp_path / "summary.json").write_text(json.dumps(asdict(summary)))
    assert findings(StepRun("ExampleGen", "done", outputs={"quarantine": str(tmp_path)})) == [
        "videos: 1,200 train, 3 test",
        f"2 of 1,205 records rejected, all in {tmp_path}, first:",
        "  a.tfrecord, record 7: has no labels, expected at least one",
        "4 videos with more than 300 frames: the first 300 are used",
        "5 videos with a label listed twice: it counts once",
        "6 ids found more than once: test and train",
    ]


def test_drift_is_printed(tmp_path):
    Drift(version="", not_compared="no model serves yet").write(str(tmp_path))
    assert findings(StepRun("DriftDetector", "done", outputs={"drift": str(tmp_path)})) == ["no model serves yet"]


def test_the_verdict_is_printed_with_its_reasons(tmp_path):
    details = Details.of(VideoMetrics(2, 3), Findings(), threshold=0.5)
    overall = Slice(feature="", name="", videos=3, scores={"f1": 0.1}, intervals={})
    verdict = Verdict(blessed=False, reasons=["f1 0.1 is below the required 0.2"], slices=[overall], details=details)
    verdict.write(str(tmp_path))
    assert Verdict.read(str(tmp_path)) == verdict
    step = StepRun("Evaluator", "done", outputs={"evaluation": str(tmp_path)})
    assert findings(step) == ["not blessed", "f1 0.1 is below the required 0.2"]


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"pushed": 1, "pushed_version": "17"}, "pushed version 17"),
        ({"pushed": 0, "pushed_version": "17"}, "nothing pushed: version 17 is this model"),
        ({"pushed": 0}, "nothing pushed: not blessed"),
    ],
)
def test_the_pushed_version_is_printed(properties, expected):
    assert findings(StepRun("Pusher", "done", properties={"pushed_model": properties})) == [expected]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "does not hold the hyperparameters of a search: JSONDecodeError: "),
        (b"\xff", "does not hold the hyperparameters of a search: UnicodeDecodeError: "),
        (b"[" * 100_000, "does not hold the hyperparameters of a search: RecursionError: "),
        (b"7" * 5_000, "does not hold the hyperparameters of a search: ValueError: "),
        (b"[]", "does not hold the hyperparameters of a search: TypeError: "),
        (b"{}", "does not hold the hyperparameters of a search: KeyError: 'space'"),
        (b'{"space": [{"class_name": "\\u001b\\n"}], "values": {}}', "does not hold the hyperparameters of a search: "),
        (
            json.dumps(hyperparameters_with("training.batch_size", 0)).encode(),
            "batch_size: Input should be greater than 0",
        ),
        (json.dumps(hyperparameters_with("training.size", 3)).encode(), "size: Extra inputs are not permitted"),
        (None, "expected a folder with best_hyperparameters.txt"),
    ],
    ids=range(10),
)
def test_a_folder_without_the_result_of_a_search_is_refused_before_any_work(
    yt8m, tmp_path, write_shard, video_record, content, message
):
    write_shard(tmp_path / "a.tfrecord", [video_record()])
    best = tmp_path / "found" / "best_hyperparameters.txt"
    best.parent.mkdir()
    os.mkfifo(best) if content is None else best.write_bytes(content)
    (tmp_path / "vocabulary.csv").write_text("Index,Name\n0,a\n1,b\n")
    options = ("--data", tmp_path, "--vocabulary", tmp_path / "vocabulary.csv", "--out", tmp_path / "out")
    answer = yt8m("run", *options, "--experiment", "average-logistic", "--hyperparameters", best.parent)
    line = answer.err.splitlines()[-1]
    assert answer.code == 2 and line.startswith("error: ") and str(best.parent) in line and message in line
    assert line.isprintable() and len(line) < 600 and not (tmp_path / "out" / "pipeline_root").exists()
