"""With faulty servers, files arrive complete or the reason is one line."""

import hashlib
import itertools
import time
from email.utils import formatdate
from threading import Event

import pytest

from pipeline.data.download.client import Client, DownloadError, RetryPolicy

IDS = ["aa", "bF", "99"]
BROKEN = "/2/video/train/trainbF.tfrecord"
OTHERS = ["/2/video/train/train99.tfrecord", "/2/video/train/trainaa.tfrecord"]
SIZE = 20_000


@pytest.fixture
def shards(mirror):
    return mirror.publish(IDS, size=SIZE)


@pytest.fixture
def broken(mirror, shards):
    """The bytes of the file whose requests fail."""
    return shards["trainbF.tfrecord"]


def begins(mirror):
    return [request.begin for request in mirror.gets(BROKEN)]


def assert_all_came(summary, shards, tmp_path):
    assert summary.failed == {}
    written = {path.name: path.read_bytes() for path in (tmp_path / "out").glob("*.tfrecord")}
    assert written == dict(
        zip(["train0000.tfrecord", "train0093.tfrecord", "train3843.tfrecord"], shards.values(), strict=True)
    )
    assert list((tmp_path / "out" / ".download").glob("*.part")) == []


def test_a_dropped_connection_resumes_from_its_last_byte(mirror, shards, fetch, tmp_path, listened):
    mirror.breaks(BROKEN, mirror.drops(7_000), mirror.drops(0), mirror.drops(5_000))
    assert_all_came(summary := fetch(), shards, tmp_path)
    assert begins(mirror) == [0, 7_000, 7_000, 12_000]
    assert summary.bytes == 3 * SIZE
    assert sum("connection closed, 13,000 bytes missing, again in" in line for line in listened.lines) == 2


def test_failures_after_new_bytes_do_not_count_towards_giving_up(mirror, shards, fetch, tmp_path):
    mirror.breaks(BROKEN, *[mirror.drops(1_500)] * 10)
    assert_all_came(fetch(), shards, tmp_path)
    assert begins(mirror) == list(range(0, 16_000, 1_500))


@pytest.mark.parametrize("status", [500, 502, 503, 408, 429])
def test_requests_to_a_busy_server_are_retried(mirror, shards, fetch, tmp_path, listened, status):
    mirror.breaks(BROKEN, mirror.says(status), mirror.says(status))
    assert_all_came(fetch(), shards, tmp_path)
    assert sum(f"{BROKEN}: {status} " in line for line in listened.lines) == 2


@pytest.mark.parametrize(
    ("requested", "wait"), [("a date", 0.5), ("1", 0.5), ("99999", 0.5), ("soon", None), ("-5", None)]
)
def test_retry_after_is_respected_up_to_a_limit(mirror, shards, fetch, tmp_path, listened, requested, wait):
    # These tests wait at most 0.5 s if the server asks for it, else 0.06 s.
    header = formatdate(time.time() + 3600, usegmt=True) if requested == "a date" else requested
    mirror.breaks(BROKEN, mirror.says(429, Retry_After=header))
    assert_all_came(fetch(), shards, tmp_path)
    [line] = [line for line in listened.lines if "429" in line]
    announced = float(line.split()[-2])
    assert announced == wait if wait else announced <= 0.06
    first, second = mirror.gets(BROKEN)
    assert second.at - first.at > announced - 0.01  # the line has two decimals


def test_waits_double_up_to_a_limit_and_differ(mirror, fetch, listened):
    mirror.publish([f"a{i}" for i in "abcdefgh"])
    paths = [path for path in mirror.files if path.endswith(".tfrecord")]
    for path in paths:
        mirror.breaks(path, *[mirror.says(503)] * 3)
    assert fetch(workers=8, first_wait=0.1, longest_wait=0.2).failed == {}
    announced = {path: [float(line.split()[-2]) for line in listened.lines if f"{path}: 503" in line] for path in paths}
    for number, nominal in enumerate((0.1, 0.2, 0.2)):
        waits = [waits[number] for waits in announced.values()]
        assert 0.5 * nominal <= min(waits) < max(waits) <= 1.5 * nominal
    for path, waits in announced.items():
        times = [request.at for request in mirror.gets(path)]
        # The lines have two decimals.
        assert all(b - a > wait - 0.01 for wait, (a, b) in zip(waits, itertools.pairwise(times), strict=True))


def test_wrong_bytes_are_discarded_and_fetched_again(mirror, broken, shards, fetch, tmp_path, listened):
    mirror.breaks(BROKEN, mirror.sends(bytes(SIZE)), mirror.sends(broken[::-1]))
    assert_all_came(fetch(), shards, tmp_path)
    assert begins(mirror) == [0, 0, 0]
    assert sum("again from the beginning" in line for line in listened.lines) == 2


def test_bytes_that_stay_wrong_are_an_error_with_both_md5s(mirror, broken, fetch, tmp_path):
    mirror.files[BROKEN] = bytes(SIZE)
    summary = fetch()
    expected = hashlib.md5(broken).hexdigest()
    received = hashlib.md5(bytes(SIZE)).hexdigest()
    assert summary.failed == {
        "train0093.tfrecord": f"{mirror.url}{BROKEN}: MD5 is {received}, expected {expected} (3 times)"
    }
    assert len(begins(mirror)) == 3
    assert not (tmp_path / "out" / "train0093.tfrecord").exists()
    assert list((tmp_path / "out" / ".download").glob("*.part")) == []
    assert len(summary.downloaded) == 3  # the two others and the vocabulary


@pytest.mark.parametrize("status", [404, 403, 410])
def test_a_missing_file_is_not_retried_and_does_not_stop_others(mirror, shards, fetch, tmp_path, status):
    mirror.breaks(BROKEN, mirror.says(status))
    summary = fetch(workers=1)
    (reason,) = summary.failed.values()
    assert reason.startswith(f"{mirror.url}{BROKEN}: {status} ")
    assert [len(mirror.gets(path)) for path in (BROKEN, *OTHERS)] == [1, 1, 1]
    assert len(summary.downloaded) == 3
    assert list((tmp_path / "out" / ".download").glob("*.part")) == []


def test_a_server_that_ignores_ranges_is_read_from_the_beginning(mirror, shards, fetch, tmp_path):
    mirror.ignores_ranges = True
    mirror.breaks(BROKEN, mirror.drops(9_000))
    assert_all_came(fetch(), shards, tmp_path)
    assert [(r.begin, r.status, r.sent) for r in mirror.gets(BROKEN)] == [(0, 200, 9_000), (9_000, 200, SIZE)]


def test_a_server_that_drops_and_ignores_ranges_is_given_up(mirror, broken, fetch, tmp_path):
    drop = mirror.sends(broken[:9_000], length=SIZE)
    mirror.breaks(BROKEN, *[drop] * 9)
    (reason,) = fetch().failed.values()
    assert reason.endswith("connection closed, 11,000 bytes missing (4 times in a row)")
    assert (tmp_path / "out" / ".download" / "train0093.tfrecord.part").read_bytes() == broken[:9_000]


def test_a_range_that_was_not_requested_is_not_used(mirror, broken, shards, fetch, tmp_path, listened):
    other = mirror.sends(broken[8_000:], status=206, Content_Range=f"bytes 8000-{SIZE - 1}/{SIZE}")
    mirror.breaks(BROKEN, mirror.drops(9_000), other)
    assert_all_came(fetch(), shards, tmp_path)
    assert begins(mirror) == [0, 9_000, 0]
    assert any("asked from byte 9000, sent bytes 8000-19999/20000, again from" in line for line in listened.lines)


def test_a_range_that_cannot_be_satisfied_starts_the_file_again(mirror, shards, fetch, tmp_path):
    mirror.breaks(BROKEN, mirror.drops(9_000), mirror.says(416))
    assert_all_came(fetch(), shards, tmp_path)
    assert begins(mirror) == [0, 9_000, 0]


def test_a_length_that_is_too_long_does_not_lose_the_file(mirror, broken, shards, fetch, tmp_path, listened):
    mirror.breaks(BROKEN, mirror.sends(broken, length=SIZE + 500))
    assert_all_came(fetch(), shards, tmp_path)
    assert begins(mirror) == [0] and not any("again" in line for line in listened.lines)


def test_a_length_that_is_too_short_is_detected_by_the_md5(mirror, broken, shards, fetch, tmp_path):
    mirror.breaks(BROKEN, mirror.sends(broken, length=SIZE - 500))
    assert_all_came(fetch(), shards, tmp_path)
    assert begins(mirror) == [0, 0]


def test_a_connection_that_falls_silent_is_resumed(mirror, shards, fetch, tmp_path, listened):
    mirror.breaks(BROKEN, mirror.stalls(6_000))
    assert_all_came(fetch(timeout=2), shards, tmp_path)
    assert begins(mirror) == [0, 6_000]
    assert any("no byte in 2 s, again in" in line for line in listened.lines)


def test_an_unreachable_server_is_one_line(tmp_path):
    client = Client(RetryPolicy(failures=2, first_wait=0.01), Event(), len, str)
    with pytest.raises(DownloadError, match=r"^http://127.0.0.1:9/x: Connection refused \(2 times in a row\)$"):
        client.document("http://127.0.0.1:9/x")


def test_a_truncated_document_is_fetched_again(mirror, shards, fetch, tmp_path):
    mirror.breaks("/2/download_plans/video_train.json", mirror.drops(30), mirror.says(503))
    assert_all_came(fetch(), shards, tmp_path)
