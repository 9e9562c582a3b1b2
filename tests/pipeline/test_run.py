"""What a run tells while it goes."""

import json
from dataclasses import asdict

import pytest

from components.drift_detector.drift import Drift
from components.evaluator.details import Details
from components.evaluator.verdict import Slice, Verdict
from components.example_gen.ingest import Summary
from models.metrics.findings import Findings
from models.metrics.video_metrics import VideoMetrics
from pipeline.local_runner import Step
from pipeline.run import _findings


def test_what_ingest_found_is_told(tmp_path):
    summary = Summary(
        videos={"train": 1200, "test": 3},
        quarantined=2,
        first_quarantined=["a.tfrecord, record 7: has no labels, expected at least one"],
        cut_to_max_frames=4,
        repeated_labels=5,
        duplicates={"test and train": 6},
    )
    (tmp_path / "summary.json").write_text(json.dumps(asdict(summary)))
    assert _findings(Step("ExampleGen", "done", outputs={"quarantine": str(tmp_path)})) == [
        "videos: 1,200 train, 3 test",
        f"2 bad records in {tmp_path}, first:",
        "  a.tfrecord, record 7: has no labels, expected at least one",
        "4 videos cut to 300 frames",
        "5 videos with a label listed twice, kept once",
        "6 ids occur more than once: test and train",
    ]


def test_drift_is_told(tmp_path):
    Drift(version="", not_compared="no model serves yet").write(str(tmp_path))
    assert _findings(Step("DriftDetector", "done", outputs={"drift": str(tmp_path)})) == ["no model serves yet"]


def test_the_verdict_is_told_with_its_reasons(tmp_path):
    details = Details.of(VideoMetrics(2, 3), Findings(), threshold=0.5)
    overall = Slice(feature="", name="", videos=3, scores={"f1": 0.1}, intervals={})
    verdict = Verdict(blessed=False, reasons=["f1 0.1 is below the required 0.2"], slices=[overall], details=details)
    verdict.write(str(tmp_path))
    assert Verdict.read(str(tmp_path)) == verdict
    step = Step("Evaluator", "done", outputs={"evaluation": str(tmp_path)})
    assert _findings(step) == ["not blessed", "f1 0.1 is below the required 0.2"]


@pytest.mark.parametrize(
    ("properties", "told"),
    [
        ({"pushed": 1, "pushed_version": "17"}, "pushed version 17"),
        ({"pushed": 0, "pushed_version": "17"}, "nothing pushed: version 17 is this model"),
        ({"pushed": 0}, "nothing pushed: not blessed"),
    ],
)
def test_what_became_of_the_model_is_told(properties, told):
    assert _findings(Step("Pusher", "done", properties={"pushed_model": properties})) == [told]
