"""Downloads resume, fetch nothing twice, and refuse a disk that is too small before they start."""

import os
import resource
import shutil
import threading
import time
from types import SimpleNamespace

import pytest

from models.errors import InputError
from pipeline.data.download.client import DownloadError

PLAN = "/2/download_plans/video_train.json"
IDS = ["aa", "ab", "bF", "99"]


def written(tmp_path):
    return {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir() if path.is_file()}


def test_shards_and_vocabulary_get_their_official_names(mirror, fetch, tmp_path):
    shards = mirror.publish(IDS)
    summary = fetch()
    names = ["train0000.tfrecord", "train0001.tfrecord", "train0093.tfrecord", "train3843.tfrecord"]
    assert written(tmp_path) == {
        **dict(zip(names, shards.values(), strict=True)),
        "vocabulary.csv": mirror.files[mirror.VOCABULARY],
    }
    assert sorted(summary.downloaded) == [*names, "vocabulary.csv"]
    assert (summary.files, summary.present, summary.failed, summary.bytes) == (5, 0, {}, 80_000)


def test_a_second_run_fetches_no_body_again_and_reads_no_file(mirror, fetch, tmp_path):
    mirror.publish(IDS)
    fetch()
    for path in (tmp_path / "out").glob("*.tfrecord"):  # a read would notice the change
        state = path.stat()
        path.write_bytes(bytes(state.st_size))
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    mirror.log.clear()
    summary = fetch()
    assert (summary.present, summary.downloaded, summary.failed, summary.bytes) == (5, [], {}, 0)
    assert [(request.method, request.path) for request in mirror.log] == [("GET", PLAN)]


def test_an_unfinished_file_is_resumed(mirror, fetch, tmp_path):
    content = mirror.publish(["aa"])["trainaa.tfrecord"]
    part = tmp_path / "out" / ".download" / "train0000.tfrecord.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(content[:15_000])
    assert fetch().failed == {}
    assert [(r.begin, r.sent) for r in mirror.gets()] == [(15_000, 5_000)]
    assert written(tmp_path)["train0000.tfrecord"] == content and not part.exists()


def test_a_complete_part_is_not_fetched_again(mirror, fetch, tmp_path):
    content = mirror.publish(["aa"])["trainaa.tfrecord"]
    part = tmp_path / "out" / ".download" / "train0000.tfrecord.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(content)
    assert fetch().failed == {}
    assert mirror.gets() == [] and written(tmp_path)["train0000.tfrecord"] == content


@pytest.mark.parametrize("rest", [b"", b"more than the file has" * 2000])
def test_a_part_of_another_file_is_discarded(mirror, fetch, tmp_path, rest):
    content = mirror.publish(["aa"])["trainaa.tfrecord"]
    part = tmp_path / "out" / ".download" / "train0000.tfrecord.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"another file" + rest)
    assert fetch().failed == {}
    assert [r.begin for r in mirror.gets()] == [len(b"another file" + rest), 0]
    assert written(tmp_path)["train0000.tfrecord"] == content


def test_shares_of_several_parts_come_together(mirror, fetch, tmp_path):
    ids = [first + second for first in "abc" for second in "abcdefgh"]
    for part in ("train", "validate", "test"):
        mirror.publish(ids, f"2/frame/{part}", size=100)
    names = set()
    for share in ("1/3", "2/3", "3/3"):
        summary = fetch("2/frame/train", "2/frame/validate", share=share)
        after = {path.name for path in (tmp_path / "out").glob("*.tfrecord")}
        assert len(after - names) == summary.files - 1 < 2 * len(ids)
        names = after
    expected = range(24)
    numbers = [62 * (n // 8) + n % 8 for n in expected]
    assert names == {f"{part}{n:04d}.tfrecord" for part in ("train", "validate") for n in numbers}


def test_the_rated_segments_of_version_3_come_from_their_own_plan(mirror, fetch, tmp_path):
    rated = mirror.publish(["aa"], "3/frame/validate")
    mirror.publish(["aa"], "2/frame/validate")
    fetch("3/frame/validate")
    assert written(tmp_path)["validate0000.tfrecord"] == rated["validateaa.tfrecord"]


@pytest.mark.parametrize("workers", [1, 5])
def test_as_many_files_are_downloaded_at_once_as_there_are_workers(mirror, fetch, workers):
    mirror.publish([f"a{i}" for i in "abcdefghi"])
    lock, present, peaks = threading.Lock(), [], []
    together = threading.Barrier(workers)

    def waits_for_others(handler):
        with lock:
            present.append(handler.path)
            peaks.append(len(present))
        together.wait(300)
        time.sleep(0.02)  # one more would arrive now
        with lock:
            present.remove(handler.path)
        handler.serve(handler.request_)

    for path in (mirror.VOCABULARY, *[f"/2/video/train/traina{i}.tfrecord" for i in "abcdefghi"]):
        mirror.breaks(path, waits_for_others)
    assert fetch(workers=workers).failed == {}
    assert len(peaks) == 10 and max(peaks) == workers and not together.broken


def test_a_vocabulary_of_the_user_is_not_replaced(mirror, fetch, tmp_path):
    mirror.publish(["aa"])
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "vocabulary.csv").write_text("mine")
    assert fetch().present == 1
    assert written(tmp_path)["vocabulary.csv"] == b"mine" and mirror.gets(mirror.VOCABULARY) == []


@pytest.mark.parametrize("body", [b"<html>Log in</html>", b"Index,Name\n0,Game\n0,Car\n", b"Index,Name\n0,\xff\n"])
def test_an_invalid_vocabulary_is_not_kept_and_the_shards_are_still_downloaded(mirror, fetch, tmp_path, body):
    mirror.publish(IDS)
    mirror.files[mirror.VOCABULARY] = body
    summary = fetch()
    assert list(summary.failed) == ["vocabulary.csv"] and len(summary.downloaded) == 4
    assert "vocabulary.csv" not in written(tmp_path)


def test_the_error_for_a_missing_plan_has_its_address(mirror, fetch):
    with pytest.raises(DownloadError) as error:
        fetch()
    assert str(error.value) == f"{mirror.url}{PLAN}: 404 Not Found"


def free_bytes(monkeypatch, free):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free))


def test_a_disk_that_is_too_small_is_refused_before_anything_is_fetched(mirror, fetch, tmp_path, monkeypatch):
    mirror.publish([f"a{i}" for i in "abcdefghijklmnopqrst"], size=50_000)
    free_bytes(monkeypatch, 999_999)
    with pytest.raises(InputError) as error:
        fetch()
    assert str(error.value) == (
        f"OUT is '{tmp_path}/out', whose disk has 0.001 GB free, expected about 0.001 GB for 20 files "
        "(estimated from 8); --shard 1/10 downloads a tenth"
    )
    assert mirror.gets() == [] and written(tmp_path) == {}
    free_bytes(monkeypatch, 1_000_000)
    assert fetch().failed == {}


def test_files_that_are_there_need_no_disk_space(mirror, fetch, tmp_path, monkeypatch):
    content = mirror.publish(["aa", "ab", "ac"])["trainac.tfrecord"]
    fetch()
    (tmp_path / "out" / "train0002.tfrecord").unlink()
    (tmp_path / "out" / ".download" / "train0002.tfrecord.part").write_bytes(content[:19_000])
    free_bytes(monkeypatch, 999)
    with pytest.raises(InputError, match="for 1 file "):
        fetch()
    free_bytes(monkeypatch, 1_000)
    assert fetch().downloaded == ["train0002.tfrecord"]


def test_a_full_disk_ends_the_download_in_one_line_and_keeps_the_part(mirror, fetch, tmp_path):
    content = mirror.publish(["aa"])["trainaa.tfrecord"]
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (12_000, limits[1]))
    try:
        with pytest.raises(DownloadError, match=f"^{tmp_path}/out: File too large$"):
            fetch(workers=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / "out" / ".download" / "train0000.tfrecord.part").read_bytes() == content[:12_000]
    assert fetch().failed == {} and mirror.gets()[-1].begin == 12_000
