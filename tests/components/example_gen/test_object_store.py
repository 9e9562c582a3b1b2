"""Shards in object stores: listed by the stores' clients and read through Beam, here from servers on this machine."""

import json
import threading
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from moto.s3.responses import S3Response

from components.example_gen.component import read_summary
from components.example_gen.data_files import find_data_files
from components.example_gen.input_files import find_files
from models.errors import InputError


class GoogleStorage(BaseHTTPRequestHandler):
    """Objects: list and get of the Cloud Storage JSON API, v1, as in its reference."""

    objects: dict[str, bytes] = {}

    def do_GET(self):
        url = urlsplit(self.path)
        name = url.path.removeprefix("/storage/v1/b/bucket/o").removeprefix("/")
        if name:
            key = unquote(name)
            return self.answer(*((200, self.resource(key)) if key in self.objects else (404, b"{}")))
        names = [name for name in sorted(self.objects) if name.startswith(parse_qs(url.query)["prefix"][0])]
        return self.answer(200, b'{"items": [' + b", ".join(map(self.resource, names)) + b"]}")

    def resource(self, name):
        generation = int.from_bytes(md5(self.objects[name]).digest()[:6])
        size = str(len(self.objects[name]))
        body = {"name": name, "size": size, "updated": "2026-01-01T00:00:00.000Z", "generation": str(generation)}
        return json.dumps(body).encode()

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def google(monkeypatch):
    """Name -> content of the objects in a bucket."""
    with ThreadingHTTPServer(("127.0.0.1", 0), GoogleStorage) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setattr(GoogleStorage, "objects", {})
        yield GoogleStorage.objects
        server.shutdown()


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
    files = find_files("s3://bucket/span-{SPAN}/*.tfrecord")
    assert files.pattern == "s3://bucket/span-11/*.tfrecord"
    assert [(file.path, file.size) for file in files.files] == [("s3://bucket/span-11/a.tfrecord", 1)]


def test_an_empty_prefix_is_named(bucket):
    with pytest.raises(InputError, match=r"data: no file matches 's3://bucket/nothing/\*'"):
        find_files("s3://bucket/nothing/*")


def names(pattern):
    return [file.path.removeprefix("s3://bucket/") for file in find_files(pattern).files]


def test_folders_globs_and_names_match_as_on_a_disk(bucket):
    shards = ["yt8m [2018]/a.tfrecord", "yt8m [2018]/b-00000-of-00001", "yt8m [2018]/deep/c.tfrecord.gz"]
    others = ["vocabulary.csv", "README.md", "._a.tfrecord", "_temporary/0/a.tfrecord", "deep/", "a.tfrecord.md5"]
    bucket.update(dict.fromkeys(shards, b"x") | {f"yt8m [2018]/{name}": b"" for name in others})
    bucket["yt8m [2018] b/z.tfrecord"] = b"x"
    for pattern in ("s3://bucket/yt8m [2018]", "s3://bucket/yt8m [2018]/", "s3://bucket/yt8m [2018]/*"):
        assert names(pattern) == shards
    assert names("s3://bucket/yt8m [2018]/a*") == shards[:1]
    assert names("s3://bucket/yt8m [2018]/vocabulary.csv") == ["yt8m [2018]/vocabulary.csv"]
    assert names("s3://bucket") == ["yt8m [2018] b/z.tfrecord", *shards]
    bucket["yt8m [2018]/a.tfrecord.bak"] = b"x"
    with pytest.raises(InputError, match=r"a.tfrecord.bak' seems to hold TFRecords"):
        find_files("s3://bucket/yt8m [2018]")


def test_spans_that_are_folders(bucket):
    for span in (3, 11):
        bucket[f"span-{span}/deep/a.tfrecord"] = bucket[f"span-{span}/vocabulary.csv"] = b"x"
    files = find_files("s3://bucket/span-{SPAN}", spans=2)
    assert [[file.path for file in files] for files in files.spans] == [
        ["s3://bucket/span-11/deep/a.tfrecord"],
        ["s3://bucket/span-3/deep/a.tfrecord"],
    ]
    assert find_files(files.pattern).spans == files.spans


def test_an_object_is_in_one_split(bucket):
    bucket["a/a.tfrecord"] = bucket["b/b.tfrecord"] = b"x"
    assert find_data_files("s3://bucket/a", "s3://bucket/b").own_pattern("validation") == "s3://bucket/b"
    with pytest.raises(
        InputError, match=r"^validation_data: 's3://bucket/a/a.tfrecord' is in data too: a file belongs"
    ):
        find_data_files("s3://bucket/a", "s3://bucket/*")


def test_an_object_rewritten_in_the_same_second_with_its_size_changes_the_fingerprint(bucket):
    bucket["a.tfrecord"] = b"first"
    before = find_files("s3://bucket/a*").fingerprint
    bucket["a.tfrecord"] = b"other"
    assert find_files("s3://bucket/a*").fingerprint != before


def test_googles_store(google):
    google |= {"span-2/a.tfrecord": b"first", "span-2/vocabulary.csv": b"x", "span-1/b.tfrecord": b"x"}
    files = find_files("gs://bucket/span-{SPAN}")
    assert (files.pattern, files.span) == ("gs://bucket/span-2", 2)
    assert [(file.path, file.size) for file in files.files] == [("gs://bucket/span-2/a.tfrecord", 5)]
    assert find_files("gs://bucket/span-2/a.tfrecord").files == files.files
    google["span-2/a.tfrecord"] = b"other"
    assert find_files("gs://bucket/span-{SPAN}").fingerprint != files.fingerprint
    with pytest.raises(InputError, match="data: no file matches 'gs://bucket/none'"):
        find_files("gs://bucket/none")


def test_objects_that_can_be_listed_but_not_read_are_refused(bucket, monkeypatch):
    bucket["a.tfrecord"] = b"x"
    monkeypatch.setattr(S3Response, "head_object", lambda *_, **__: (403, {}, ""))
    with pytest.raises(InputError, match=r"'s3://bucket/a.tfrecord' is listed, but your credentials don't give"):
        find_files("s3://bucket/*")
