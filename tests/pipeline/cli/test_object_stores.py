"""Object stores that cannot be read: one line names store, reason and remedy, and no command waits for long."""

import json
import logging
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from components import object_stores

REFUSED = "http://127.0.0.1:9"  # no process listens on the port of the protocol "discard"


class Store(BaseHTTPRequestHandler):
    """Answers each request with the same status and body."""

    status, body = 200, b""

    def do_GET(self):
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(self.body)

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_):
        pass


@pytest.fixture
def store():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Store)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def variables(monkeypatch, tmp_path):
    """`(NAME=value)` sets variables; those of the machine are removed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # earlier runs in this process have left handlers
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "CLOUDSDK_CONFIG"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")  # not on a machine of Amazon,
    monkeypatch.setenv("NO_GCE_CHECK", "true")  # nor of Google
    monkeypatch.setenv("no_proxy", "127.0.0.1")

    def set_variables(**values):
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    return set_variables


KEYS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
SET_KEYS = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"


@pytest.mark.parametrize(
    ("values", "path", "message"),
    [
        ({}, "s3://some-bucket/video", f"s3://some-bucket: no credentials (Unable to locate credentials), {SET_KEYS}"),
        ({"AWS_ACCESS_KEY_ID": "a"}, "s3://b/video", "missing: AWS_SECRET_ACCESS_KEY"),
        (KEYS | {"AWS_ENDPOINT_URL": REFUSED}, "s3://b/v", f"s3://b: {REFUSED} (AWS_ENDPOINT_URL) cannot be reached ("),
        (
            KEYS | {"AWS_ENDPOINT_URL": "minio"},
            "s3://b/v",
            "s3://b: minio (AWS_ENDPOINT_URL) cannot be listed (Invalid",
        ),
        (KEYS | {"AWS_PROFILE": "mine"}, "s3://b/v", "The config profile (mine) could not be found"),
        (
            {"GOOGLE_APPLICATION_CREDENTIALS": "/nowhere.json"},
            "gs://b/v",
            "gs://b: no credentials (File /nowhere.json was not found.), set GOOGLE_APPLICATION_CREDENTIALS",
        ),
        (
            {"API_ENDPOINT_OVERRIDE": REFUSED},
            "gs://b/v",
            "gs://b: no credentials were found, set GOOGLE_APPLICATION_CREDENTIALS (or run `gcloud auth application-"
            "default login`); without them Google Cloud Storage cannot be reached (",
        ),
        ({"STORAGE_EMULATOR_HOST": REFUSED}, "gs://b/v", f"{REFUSED} (STORAGE_EMULATOR_HOST) cannot be reached ("),
        ({}, "hdfs://b/v", "is 'hdfs://b/v', expected a local path, s3://BUCKET/... or gs://BUCKET/..."),
        ({}, "s3://", "is 's3://', expected a local path"),
    ],
)
def test_a_store_that_cannot_be_reached(yt8m, variables, monkeypatch, values, path, message):
    monkeypatch.setattr(object_stores, "_CONNECT_TIMEOUT", 0.1)  # Google's client retries for twice as long
    variables(**values)
    answer = yt8m("stats", "--data", path)
    assert answer.code == 2 and answer.err.startswith("error: data")
    assert message in answer.err and answer.err.count("\n") == 1


# REST error responses from the API reference of Amazon S3.
S3_ERROR = "<?xml version='1.0' encoding='UTF-8'?><Error><Code>{}</Code><Message>text</Message></Error>"


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (404, S3_ERROR.format("NoSuchBucket"), "has no such bucket (NoSuchBucket)"),
        (403, S3_ERROR.format("InvalidAccessKeyId"), "denies access (403 InvalidAccessKeyId), check AWS_ACCESS_KEY_ID"),
        (403, S3_ERROR.format("SignatureDoesNotMatch"), "denies access (403 SignatureDoesNotMatch)"),
        (403, S3_ERROR.format("AccessDenied"), "denies access (403 AccessDenied)"),
        (200, "<html>MinIO Console</html>", "cannot be listed (it does not answer as S3 does)"),
    ],
)
def test_errors_of_an_s3_store(yt8m, variables, store, monkeypatch, status, body, message):
    monkeypatch.setattr(Store, "status", status)
    monkeypatch.setattr(Store, "body", body.encode())
    variables(AWS_ENDPOINT_URL=store, **KEYS)
    for arguments in (["--data", "s3://b/*"], ["--data", "s3://b/v"]):
        answer = yt8m("stats", *arguments)
        assert (answer.code, answer.err.count("\n")) == (2, 1)
        assert answer.err.startswith(f"error: data: s3://b: {store} (AWS_ENDPOINT_URL) {message}")


# Responses of Google's JSON API.
def gs_error(status, text):
    return json.dumps({"error": {"code": status, "message": text, "errors": [{"message": text, "reason": "x"}]}})


@pytest.mark.parametrize(
    ("status", "text", "message"),
    [
        (404, "The specified bucket does not exist.", "has no such bucket (The specified bucket does not exist.)"),
        (401, "Anonymous caller does not have storage.objects.list access", "denies access"),
        (
            403,
            "x does not have storage.objects.list access",
            "denies access (403 x does not have storage.objects.list access), check",
        ),
    ],
)
def test_errors_of_googles_store(yt8m, variables, store, monkeypatch, status, text, message):
    monkeypatch.setattr(Store, "status", status)
    monkeypatch.setattr(Store, "body", gs_error(status, text).encode())
    variables(STORAGE_EMULATOR_HOST=store)
    answer = yt8m("stats", "--data", "gs://b/v")
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert f"gs://b: {store} (STORAGE_EMULATOR_HOST) {message}" in answer.err


def test_a_store_that_does_not_answer_is_named_while_the_command_waits(yt8m, variables, monkeypatch):
    monkeypatch.setattr(object_stores, "_MESSAGE_AFTER", 0.1)
    monkeypatch.setattr(object_stores, "_TOTAL_TIMEOUT", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        variables(AWS_ENDPOINT_URL=address, **KEYS)
        answer = yt8m("stats", "--data", "s3://b/video")
    place = f"s3://b: {address} (AWS_ENDPOINT_URL)"
    assert answer.code == 2 and answer.err.splitlines() == [
        f"s3://b: waiting for {address} (AWS_ENDPOINT_URL) ...",
        f"error: data: {place} cannot be reached (no answer for 0.5 s)",
    ]


def test_every_path_in_a_store_is_checked(yt8m, variables, means, monkeypatch):
    monkeypatch.setattr(object_stores, "_CONNECT_TIMEOUT", 0.1)
    variables(AWS_ENDPOINT_URL=REFUSED, **KEYS)
    unreachable = f"s3://b: {REFUSED} (AWS_ENDPOINT_URL) cannot be reached"
    data = ["--data", means, "--split", "id:80/10/10"]
    assert f"vocabulary: {unreachable}" in yt8m("stats", *data, "--vocabulary", "s3://b/v.csv").err
    assert f"test_data: {unreachable}" in yt8m("stats", "--data", means, "--test-data", "s3://b/v").err
    ensemble = ["run", *data, "--experiment", "ensemble", "--set", "level=video", "--out", "e", "--set"]
    members = "model.encoder.members: 's3://b/m': TensorFlow reads models on disks and volumes and in gs://"
    assert members in yt8m(*ensemble, "model.encoder.members=['s3://b/m','s3://b/n']").err
    student = ["run", *data, "--experiment", "average-576", "--out", "s", "--set", "training.teachers=['s3://b/m']"]
    assert "training.teachers: 's3://b/m': TensorFlow reads models on disks and" in yt8m(*student).err
    variables(STORAGE_EMULATOR_HOST=REFUSED)
    assert "model: gs://b: " in (said := yt8m("predict", "gs://b/m", "--data", means).err) and "reached (" in said
