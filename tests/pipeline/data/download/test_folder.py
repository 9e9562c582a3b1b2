"""A folder distinguishes published files from others, and never replaces one of another origin."""

import json

import pytest

from models.errors import InputError
from pipeline.data.download.client import DownloadError
from pipeline.data.download.folder import Folder


@pytest.fixture
def out(mirror, fetch, tmp_path):
    """A folder with two shards."""
    mirror.publish(["aa", "ab"])
    assert fetch().failed == {}
    mirror.log.clear()
    return tmp_path / "out"


def test_files_of_the_official_downloader_are_checked_once_and_kept(mirror, fetch, out):
    record = out / ".download" / "checked.jsonl"
    before = record.read_text()
    record.unlink()
    assert fetch().present == 3 and mirror.gets() == []
    assert sorted(record.read_text().splitlines()) == sorted(before.splitlines())


@pytest.mark.parametrize("content", [b"", b"cut", bytes(20_000)])
def test_a_file_that_is_not_the_published_one_is_left_alone_and_named(mirror, fetch, out, content):
    (out / "train0000.tfrecord").write_bytes(content)
    (reason,) = fetch().failed.values()
    assert reason.startswith(f"{out}/train0000.tfrecord: MD5 is ")
    assert reason.endswith(": remove it, or choose another OUT")
    assert (out / "train0000.tfrecord").read_bytes() == content and mirror.gets() == []


def test_a_removed_file_is_fetched_again(mirror, fetch, out):
    (out / "train0001.tfrecord").unlink()
    assert fetch().downloaded == ["train0001.tfrecord"]
    assert [request.path for request in mirror.gets()] == ["/2/video/train/trainab.tfrecord"]


def test_a_republished_file_is_not_taken_for_the_old_one(mirror, fetch, out):
    changed = mirror.publish(["aa", "ab"], size=500)
    (out / "train0000.tfrecord").unlink()
    summary = fetch()
    assert summary.downloaded == ["train0000.tfrecord"] and list(summary.failed) == ["train0001.tfrecord"]
    assert (out / "train0000.tfrecord").read_bytes() == changed["trainaa.tfrecord"]


@pytest.mark.parametrize("other", ["2/frame/train", "3/frame/validate"])
def test_another_data_set_is_refused_in_the_same_folder(mirror, fetch, out, other):
    mirror.publish(["aa"], other)
    dataset = other.rpartition("/")[0]
    with pytest.raises(InputError) as error:
        fetch(other)
    assert str(error.value) == f"OUT is '{out}', which holds 2/video: expected another folder for {dataset}"
    for path in out.glob("*.tfrecord"):
        path.unlink()
    assert fetch(other).failed == {}


def test_a_damaged_record_of_checks_only_costs_another_check(mirror, fetch, out):
    record = out / ".download" / "checked.jsonl"
    lines = record.read_text().splitlines()
    assert sorted(json.loads(line)["file"] for line in lines) == ["train0000.tfrecord", "train0001.tfrecord"]
    record.write_text(lines[0][:30] + "\n[1]\nnull\n{}\n" + lines[1][:-9])
    assert fetch().present == 3 and mirror.gets() == []
    assert fetch().present == 3


def test_two_processes_do_not_write_one_file(mirror, fetch, out):
    (out / "train0000.tfrecord").unlink()
    with Folder(out, "2/video").unfinished("train0000.tfrecord") as stream:
        stream.write(b"of the other process")
        stream.flush()
        (reason,) = fetch().failed.values()
        assert reason == f"{out}/train0000.tfrecord: another process is downloading it"
        assert mirror.gets() == []


def test_a_failure_leaves_the_part_and_nothing_else(tmp_path):
    folder = Folder(tmp_path / "new" / "out", "2/video")
    for written in (b"", b"half"):
        with pytest.raises(DownloadError), folder.unfinished("train0000.tfrecord") as stream:
            stream.write(written)
            raise DownloadError
        parts = {path.name: path.read_bytes() for path in (folder.path / ".download").iterdir()}
        assert parts == ({"train0000.tfrecord.part": b"half"} if written else {})


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").touch()
    for out, said in ((tmp_path / "file", "Not a directory"), (tmp_path / "file" / "out", "Not a directory")):
        with pytest.raises(InputError) as error:
            Folder(out, "2/video")
        assert str(error.value) == f"OUT is '{out}': {said}, expected a folder that may be written"
