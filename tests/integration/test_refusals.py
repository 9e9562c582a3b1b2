"""Runs refused by a step, in TFX's launcher: the reason is printed, and the next run works."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from pipeline.cli import main


@pytest.fixture
def run(monkeypatch, capfd, tmp_path):
    """`(data, *arguments)` -> exit code and last line of a run into the folder `out`."""

    def call(data, *arguments):
        capfd.readouterr()
        command = ["yt8m", "run", "--data", data, "--split", "id:80/10/10", "--out", tmp_path / "out", *arguments]
        monkeypatch.setattr(sys, "argv", [*map(str, command), "--experiment", "average-2304-1152"])
        code = 0
        try:
            main()
        except SystemExit as error:
            code = error.code
        printed, errors = capfd.readouterr()
        return code, (errors if code else printed).splitlines()[-1]

    return call


@pytest.fixture
def shard(tmp_path, write_shard):
    """`(records)` -> a folder with one shard; "good" for training data."""

    def write(name, records):
        (tmp_path / name).mkdir()
        (tmp_path / name / "vocabulary.csv").write_text("Index,Name\n" + "".join(f"{n},n{n}\n" for n in range(7)))
        return write_shard(tmp_path / name / "train.tfrecord", records).parent

    return write


@pytest.mark.no_cover
def test_too_many_rejected_records_are_reported_and_listed_and_corrected_data_work(
    run, shard, video_record, means, tmp_path
):
    records = [video_record(f"v{number:03d}", [1]) for number in range(40)]
    bad = shard("bad", [*records, video_record("none", [])])
    code, line = run(bad)
    listed = tmp_path / "out" / "pipeline_root" / "ExampleGen" / "quarantine" / "refused"
    assert code == 2
    assert line == (
        f"error: 1 of 41 records rejected, more than quarantine_limit 0.10%; first: {bad}/train.tfrecord, record 40: "
        f"has no labels, expected at least one; all rejected records are in {listed}"
    )
    [entry] = [json.loads(line) for file in listed.glob("records-*.jsonl") for line in file.read_text().splitlines()]
    assert entry["record"] == 40 and Path(entry["file"]) == bad / "train.tfrecord"
    assert not (tmp_path / "out" / "scores.json").exists()

    code, line = run(means, "--set", "training.max_epochs=1")
    assert code == 0 and line.startswith("report: ")
    assert json.loads((tmp_path / "out" / "scores.json").read_text())["splits"]


def test_a_split_that_stays_empty_is_named(run, shard, video_record):
    code, line = run(shard("tiny", [video_record("only", [1])]))
    assert code == 2 and line.startswith("error: no videos in the split ")


def test_test_data_without_labels_are_named(run, shard, video_record, means, tmp_path):
    data = tmp_path / "train"
    shutil.copytree(means, data)
    test_data = shard("test", [video_record(f"t{number:03d}", [] if number % 2 else [1]) for number in range(10)])
    code, line = run(data, "--test-data", test_data, "--split", "id:90/10")
    assert code == 2 and line.startswith("error: 5 of ") and "record 1: has no labels" in line


def test_validation_data_that_are_in_the_data_too_are_refused_before_the_ingest(run, shard, video_record, tmp_path):
    data = shard("data", [video_record(f"v{number:03d}", [1]) for number in range(10)])
    code, line = run(data, "--validation-data", data / "train.tfrecord", "--split", "id:90/10")
    assert code == 2 and line == (
        f"error: validation_data: '{data}/train.tfrecord' is in data too: a file belongs to one split, choose patterns "
        "that share none"
    )
    assert not list((tmp_path / "out" / "pipeline_root").glob("ExampleGen/examples/*"))
