"""A hostile server causes one short line, and cannot write outside of OUT."""

import gzip
import json
import random
from threading import Event

import pytest

from pipeline.data.download import client as of_client
from pipeline.data.download.client import Client, DownloadError, RetryPolicy

PLAN = "/2/download_plans/video_train.json"
SHARD = "/2/video/train/trainaa.tfrecord"


@pytest.fixture
def shard(mirror):
    return mirror.publish(["aa"])["trainaa.tfrecord"]


@pytest.fixture
def reason(mirror, shard, fetch, tmp_path):
    """`(*faults)` -> the reason of the failure; OUT then holds only the vocabulary."""

    def why(*faults):
        mirror.breaks(SHARD, *faults)
        before = {path for path in tmp_path.parent.rglob("*") if tmp_path / "out" not in (path, *path.parents)}
        (words,) = fetch(failures=2).failed.values()
        after = {path for path in tmp_path.parent.rglob("*") if tmp_path / "out" not in (path, *path.parents)}
        assert after == before and [p.name for p in (tmp_path / "out").glob("*")] == [".download", "vocabulary.csv"]
        assert words.isprintable() and len(words) < 400 and words.startswith(f"{mirror.url}{SHARD}: ")
        return words.removeprefix(f"{mirror.url}{SHARD}: ")

    return why


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("file:///etc/passwd", "302 Found - Redirection to url 'file:///etc/passwd' is not allowed"),
        ("ftp://127.0.0.1:9/x", "302 redirects to ftp://127.0.0.1:9/x, allowed: http and https"),
        ("data:text/plain,x", "302 Found - Redirection to url 'data:text/plain,x' is not allowed"),
        ("javascript:" + "x" * 9_000, "\"302 Found - Redirection to url 'javascript:xxx"),
        ("http://[bad", "redirects to an invalid address"),
        ("http://127.0.0.1:x/", "redirects to an invalid address"),
        ("http://" + "x" * 300 + "/", "redirects to an invalid address"),
    ],
)
def test_a_redirect_to_another_protocol_is_not_followed(mirror, reason, location, message):
    assert reason(mirror.says(302, Location=location)).startswith(message)
    assert len(mirror.gets(SHARD)) == 1


def test_a_redirect_to_itself_ends(mirror, reason):
    words = reason(*[mirror.says(302, Location=SHARD)] * 30)
    assert "302" in words and "infinite loop" in words


def test_a_redirect_to_another_place_is_followed(mirror, shard, fetch, tmp_path):
    mirror.files["/elsewhere"] = shard
    mirror.breaks(SHARD, mirror.says(302, Location="/elsewhere"))
    assert fetch().failed == {}
    assert (tmp_path / "out" / "train0000.tfrecord").read_bytes() == shard


def answers(text, body=b"", times=1):
    """A fault that sends raw lines."""

    def fault(handler):
        handler.wfile.write(text)
        for _ in range(times):
            handler.wfile.write(body)

    return fault


@pytest.mark.parametrize("length", [b"-5", b"many", b"9" * 5_000, b"1e3", b"", b"\xff"])
def test_an_invalid_length_does_not_lose_the_file(mirror, shard, fetch, tmp_path, length):
    mirror.breaks(SHARD, answers(b"HTTP/1.0 200 OK\r\nContent-Length: " + length + b"\r\n\r\n", shard))
    mirror.breaks(f"HEAD {SHARD}", answers(b"HTTP/1.0 200 OK\r\nContent-Length: " + length + b"\r\n\r\n"))
    assert fetch().failed == {}
    assert (tmp_path / "out" / "train0000.tfrecord").read_bytes() == shard


def test_a_body_without_end_is_given_up(mirror, reason, monkeypatch, tmp_path):
    monkeypatch.setattr(of_client, "LONGEST_SHARD", 1 << 20)
    endless = answers(b"HTTP/1.0 200 OK\r\n\r\n", bytes(1 << 16), times=1_000)
    assert reason(endless) == "longer than 0 GiB"
    assert list((tmp_path / "out" / ".download").glob("*.part")) == []
    monkeypatch.setattr(of_client, "LONGEST_DOCUMENT", 1 << 20)
    client = Client(RetryPolicy(), Event(), len, str)
    mirror.breaks(PLAN, endless)
    with pytest.raises(DownloadError, match="longer than 1 MiB"):
        client.document(f"{mirror.url}{PLAN}")


@pytest.mark.parametrize(
    "text",
    [
        b"HTTP/1.0 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"HTTP/1.0 200 OK\r\nX: " + b"y" * 99_000 + b"\r\n\r\n",
        b"HTTP/1.0 500 " + b"\x1b[2J" * 9_000 + b"\r\n\r\n",
        b"HTTP/1.0 404 \x1b[2J\x07\r\n\r\n",
        b"HTTP/1.0 99999999999999999999 OK\r\n\r\n",
        b"SSH-2.0-OpenSSH_9\r\n" + bytes(range(256)) * 300,
        b"",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\xff\xfe\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"f" * 5_000 + b"\r\nhello",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 200,
        b"HTTP/1.0 503 Busy\r\nRetry-After: " + b"9" * 5_000 + b"\r\n\r\n",
    ],
    ids=range(12),
)
def test_an_invalid_response_is_one_short_line(mirror, reason, text):
    assert reason(*[answers(text)] * 4)


def test_compressed_bytes_are_named(mirror, reason, shard):
    assert reason(mirror.sends(gzip.compress(shard), Content_Encoding="gzip")) == (
        "comes with Content-Encoding gzip, expected none"
    )


def test_a_range_that_was_not_asked_for_is_shown_shortly(mirror, reason, shard, listened):
    lies = [mirror.sends(shard, status=206, Content_Range="\x1b[2J" + "x" * 5_000)] * 4
    reason(mirror.drops(9_000), *[fault for lie in lies for fault in (lie, mirror.drops(9_000))])
    assert all(line.isprintable() and len(line) < 400 for line in listened.lines)


@pytest.mark.parametrize("name", ["../../x", "/etc/passwd", "x" * 100_000, "trainaa.tfrecord\x1b[2J", "tr\udcffain"])
def test_a_plan_with_other_names_is_one_short_line(mirror, fetch, tmp_path, name):
    mirror.files[PLAN] = json.dumps({"files": {name: "0" * 32}}).encode()
    with pytest.raises(DownloadError) as error:
        fetch()
    assert str(error.value).isprintable() and len(str(error.value)) < 400
    assert {path.name for path in tmp_path.rglob("*")} == {"out", ".download"}


@pytest.mark.parametrize("body", [b'Index\n"' + b"x" * 200_000, b"\x1b[2J" * 5_000, random.Random(0).randbytes(5_000)])
def test_an_invalid_vocabulary_is_one_short_line(mirror, shard, fetch, body):
    mirror.files[mirror.VOCABULARY] = body
    (words,) = fetch().failed.values()
    assert words.isprintable() and len(words) < 400


@pytest.mark.parametrize("proxy", ["http://me:secret@[bad", "http://me:sec/ret@proxy:1"])
def test_an_invalid_proxy_is_one_line_without_its_password(monkeypatch, proxy):
    monkeypatch.delenv("no_proxy")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("http_proxy", proxy)
    client = Client(RetryPolicy(failures=1), Event(), len, str)
    with pytest.raises(DownloadError) as error:
        client.document("http://mirror.example/x")
    assert "ret" not in str(error.value)


class Clock(Event):
    """Does not wait, and records the waits."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout or 0.0)
        return False


def test_retries_last_as_long_as_the_restart_of_a_server(monkeypatch):
    monkeypatch.setattr(random, "uniform", lambda low, high: (low + high) / 2)
    clock = Clock()
    with pytest.raises(DownloadError, match="8 times in a row"):
        Client(RetryPolicy(), clock, len, str).document("http://127.0.0.1:9/x")
    assert clock.waits == [1, 2, 4, 8, 16, 32, 60]
    assert 120 <= sum(clock.waits) < 150 and "two" in " ".join(RetryPolicy.__doc__.split())
