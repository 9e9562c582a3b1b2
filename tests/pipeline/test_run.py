"""What a run tells while it goes, and which label names it uses."""

import json
from dataclasses import asdict

import pytest

from components.evaluator.verdict import Slice, Verdict
from components.example_gen.ingest import Summary
from models.errors import InputError
from pipeline.experiments import find_experiment
from pipeline.local_runner import Step
from pipeline.run import _findings, label_names
from pipeline.settings import resolve_settings


def settings(folder, **options):
    options = {"data.pattern": str(folder), "data.split": "file:80/10/10", "out": str(folder / "out")} | options
    return resolve_settings(find_experiment("netvlad-8"), options)


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


def test_the_verdict_is_told_with_its_reasons(tmp_path):
    verdict = Verdict(False, ["f1 0.1 is below the required 0.2"], [Slice("", "", 3, {"f1": 0.1})])
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


def test_a_vocabulary_beside_the_shards_is_found(tmp_path):
    (tmp_path / "a.tfrecord").write_bytes(b"")
    (tmp_path / "vocabulary.csv").write_text("\ufeffIndex,Name\n1,b\n0,a\n", encoding="utf-8")
    assert label_names(settings(tmp_path)) == ("a", "b")


def test_a_vocabulary_given_wins(tmp_path):
    (tmp_path / "vocabulary.csv").write_text("Index,Name\n0,a\n")
    (tmp_path / "mine.csv").write_text("Index,Name\n0,mine\n")
    assert label_names(settings(tmp_path, **{"data.vocabulary": str(tmp_path / "mine.csv")})) == ("mine",)


def test_without_a_vocabulary_the_ids_are_the_names(tmp_path):
    (tmp_path / "a.tfrecord").write_bytes(b"")
    assert label_names(settings(tmp_path, **{"data.classes": 3})) == ("0", "1", "2")


def test_a_vocabulary_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"vocabulary: cannot read '/nowhere/v.csv'"):
        label_names(settings(tmp_path, **{"data.vocabulary": "/nowhere/v.csv"}))
