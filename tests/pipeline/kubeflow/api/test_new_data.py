"""`yt8m submit --if-new-data`: one run on each span of the data."""

import pytest


@pytest.fixture
def spans(tmp_path, write_shard, video_record):
    """Adds a span of data; returns the pattern of all spans."""

    def add(span):
        folder = tmp_path / f"span-{span}"
        folder.mkdir()
        write_shard(folder / "train0000.tfrecord", [video_record()])
        return str(tmp_path / "span-{SPAN}" / "*.tfrecord")

    return add


def test_new_data_starts_one_run_per_span(submit, api_server, spans):
    pattern = spans(9)
    options = ["--data", pattern, "--if-new-data"]
    first = submit(*options)
    assert api_server.state.runs[first["run_id"]]["description"] == f"span 9 of {pattern}"
    assert first["data"] == pattern  # the run itself finds the newest
    assert submit(*options) is None  # still running
    api_server.advance(first["run_id"], "FAILED")
    second = submit(*options)
    assert second["started"] and second["run_id"] != first["run_id"]
    api_server.advance(second["run_id"], "SUCCEEDED")
    before = len(api_server.changes)
    assert submit(*options) is None
    assert len(api_server.changes) == before
    assert submit(*options, "--experiment", "nextvlad-128")["experiment"] == "nextvlad-128"
    spans(10)
    third = submit(*options)
    assert third["started"] and api_server.state.runs[third["run_id"]]["description"] == f"span 10 of {pattern}"
    assert len(api_server.state.versions) == 1


def test_a_run_that_is_being_cancelled_leaves_its_span_as_new_data(submit, api_server, spans):
    options = ["--data", spans(9), "--if-new-data"]
    first = submit(*options)
    api_server.advance(first["run_id"], "CANCELING")
    second = submit(*options)
    assert second["started"] and second["run_id"] != first["run_id"]


def test_a_run_whose_workflow_is_gone_leaves_its_span_as_new_data(submit, api_server, spans):
    options = ["--data", spans(9), "--if-new-data"]
    first = submit(*options)["run_id"]
    api_server.advance(first, "RUNNING", {"Trainer": "RUNNING"})
    assert submit(*options) is None
    api_server.delete_pods(first)
    assert submit(*options)["started"]


def test_new_data_needs_a_span(kfp, package):
    code, _, err = kfp("submit", "--package", package, "--if-new-data")
    assert (code, err) == (2, "error: data is '/mnt/yt8m/frame': --if-new-data needs a pattern with {SPAN}\n")


def test_new_data_in_a_store_that_cannot_be_read(kfp, package, monkeypatch):
    for name, value in (("ENDPOINT_URL", "http://127.0.0.1:9"), ("ACCESS_KEY_ID", "a"), ("SECRET_ACCESS_KEY", "b")):
        monkeypatch.setenv(f"AWS_{name}", value)
    code, _, err = kfp("submit", "--package", package, "--data", "s3://b/span-{SPAN}/*", "--if-new-data")
    assert (code, err.count("\n")) == (2, 1)
    assert err.startswith("error: data: s3://b: http://127.0.0.1:9 (AWS_ENDPOINT_URL) cannot be reached (")
