"""Shards in an object store: listed and read through Beam's file systems, here from an S3 server on this machine."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import pytest

from components.example_gen.component import read_summary
from components.example_gen.input_files import find_files
from models.errors import InputError


class S3(BaseHTTPRequestHandler):
    """The four requests that reading makes: list, head, whole and ranged get."""

    objects: dict[str, bytes] = {}

    def do_GET(self):
        url = urlsplit(self.path)
        query = parse_qs(url.query)
        bucket, _, key = unquote(url.path).lstrip("/").partition("/")
        if "list-type" in query or "prefix" in query:
            found = [name for name in sorted(self.objects) if name.startswith(query["prefix"][0])]
            contents = "".join(
                f"<Contents><Key>{escape(name)}</Key><Size>{len(self.objects[name])}</Size><ETag>x</ETag>"
                "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
                for name in found
            )
            head = f"<Name>{bucket}</Name><KeyCount>{len(found)}</KeyCount><IsTruncated>false</IsTruncated>"
            return self.answer(200, f"<ListBucketResult>{head}{contents}</ListBucketResult>".encode())
        if key not in self.objects:
            return self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        content = self.objects[key]
        if "Range" in self.headers:
            first, _, last = self.headers["Range"].removeprefix("bytes=").partition("-")
            return self.answer(206, content[int(first) : int(last) + 1 if last else None])
        return self.answer(200, content)

    do_HEAD = do_GET  # noqa: N815

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "binary/octet-stream")
        self.send_header("ETag", "x")
        self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def bucket(monkeypatch):
    S3.objects = {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), S3)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    yield S3.objects
    server.shutdown()
    server.server_close()


def test_shards_in_an_object_store_are_ingested(bucket, ingest, tmp_path, write_shard, frame_record):
    for shard in range(3):
        path = write_shard(tmp_path / "shard", [frame_record(f"{shard}{n:03d}", [1]) for n in range(10)])
        bucket[f"yt8m/train{shard:04d}.tfrecord"] = path.read_bytes()
    bucket["yt8m/README.md"] = b"not a shard"
    _, quarantine = ingest("s3://bucket/yt8m/*.tfrecord", split="file:34/33/33")
    assert read_summary(quarantine.uri).videos == {"train": 10, "validation": 10, "test": 10}


def test_the_newest_span_in_an_object_store(bucket):
    for span in (3, 11):
        bucket[f"span-{span}/a.tfrecord"] = b"x"
    found = find_files("s3://bucket/span-{SPAN}/*.tfrecord")
    assert found.pattern == "s3://bucket/span-11/*.tfrecord"
    assert [(file.path, file.size) for file in found.files] == [("s3://bucket/span-11/a.tfrecord", 1)]


def test_an_empty_prefix_is_named(bucket):
    with pytest.raises(InputError, match=r"data: no file matches 's3://bucket/nothing/\*'"):
        find_files("s3://bucket/nothing/*")
