"""Failed, cancelled, repeated and concurrent attempts: only complete files get their names."""

import os
from io import BytesIO

import pytest
import tensorflow as tf
from apache_beam.io.filesystems import FileSystems

from components.example_gen.ingest import Shard, _IngestShard
from components.example_gen.input_files import InputFile
from components.example_gen.splits import SplitPolicy
from components.example_gen.tfrecord import read_records
from components.publishing import Attempt, scratch_folder, write_whole
from components.transform.component import _Materialize

VIDEOS = 30
WHOLE = "Split-train/data_tfrecord-00000-of-00001"
INDEX = f"index/{WHOLE}.npz"


@pytest.fixture(params=["disk", "object store"])
def root(request, tmp_path):
    """Where attempts write: on a disk a rename is one step, in an object store a copy, then a delete."""
    if request.param == "disk":
        return str(tmp_path)
    request.getfixturevalue("bucket")
    return "s3://bucket"


@pytest.fixture
def attempt(root, tmp_path, write_shard, frame_record):
    """Starts to ingest a shard as a Beam worker does: an iterator that ends with the attempt."""
    path = write_shard(tmp_path / "train.tfrecord", [frame_record(f"{n:04d}", [1]) for n in range(VIDEOS)])
    shard = Shard(InputFile(str(path), path.stat().st_size, 0), 0, 1, "train")
    policy = SplitPolicy.parse("id:60/20/20")
    places = [f"{root}/{name}" for name in ("examples", "quarantine", "examples/writing")]
    return lambda: _IngestShard(*places, policy, "frame", 10, []).process(shard)


@pytest.fixture
def written(root):
    """`()` -> content by path below the root, of complete and unfinished examples."""

    def read():
        files = FileSystems.match([f"{root}/examples/**"])[0].metadata_list
        paths = [file.path for file in files if not os.path.isdir(file.path)]
        return {path.removeprefix(f"{root}/examples/"): content(path) for path in paths}

    return read


def content(path):
    with FileSystems.open(path) as file:
        return file.read()


def records(content):
    return sum(1 for _ in read_records(BytesIO(content)))


def some(attempt):
    """Lets an attempt write its first records."""
    return [next(attempt) for _ in range(5)]


def test_a_cancelled_attempt_replaces_nothing(attempt, written):
    cancelled = attempt()
    some(cancelled)
    cancelled.close()
    assert written() == {}
    assert len(list(attempt())) == VIDEOS + 1
    late = attempt()
    some(late)
    late.close()
    files = written()
    assert files.keys() == {WHOLE, INDEX} and records(files[WHOLE]) == VIDEOS


def test_concurrent_and_repeated_attempts_publish_the_same(attempt, written):
    first, second = attempt(), attempt()
    some(first)
    list(second)
    files = {name: written()[name] for name in (WHOLE, INDEX)}  # not what the first is writing
    assert records(files[WHOLE]) == VIDEOS
    list(first)
    list(attempt())
    assert written() == files


def test_an_attempt_that_raises_replaces_nothing(root, written):
    target = f"{root}/examples/file"
    write_whole(target, b"whole")
    with (
        pytest.raises(OSError, match="gone"),
        scratch_folder(f"{root}/examples") as scratch,
        Attempt(scratch) as attempt,
    ):
        attempt.open(target).write(b"half")
        raise OSError("the input is gone")
    assert written() == {"file": b"whole"}


def test_the_next_attempt_completes_a_rename_that_failed_halfway(attempt, written, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(OSError, match="cut off"):
        patch.setattr(FileSystems, "rename", copied_then_cut_off)
        list(attempt())
    list(attempt())
    files = written()
    assert files.keys() == {WHOLE, INDEX} and records(files[WHOLE]) == VIDEOS


def copied_then_cut_off(sources, targets):
    FileSystems.copy(sources, targets)
    raise OSError("cut off")


def test_leftovers_of_killed_attempts_are_removed_with_the_scratch_folder(root, written):
    with scratch_folder(f"{root}/examples") as scratch:
        with Attempt(scratch).open(f"{root}/examples/file") as file:  # the attempt's own block never ends
            file.write(b"half")
        assert len(written()) == 1
    assert written() == {}


def test_a_file_in_the_root_of_a_bucket(bucket):
    write_whole("s3://bucket/summary.json", b"{}")
    assert dict(bucket) == {"summary.json": b"{}"}


def test_a_failed_transform_replaces_nothing(transformed_means, tmp_path):
    examples, graph = transformed_means.examples, transformed_means.graph
    [source, *_] = tf.io.gfile.glob(f"{examples.uri}/Split-train/*")
    materialize = _Materialize(graph.uri, str(tmp_path / "writing"))
    materialize.setup()
    target = tmp_path / "out"
    list(materialize.process((source, str(target))))
    whole = target.read_bytes()
    damaged = tmp_path / "damaged"
    with open(source, "rb") as file:
        damaged.write_bytes(file.read()[:-3])
    with pytest.raises(tf.errors.DataLossError):
        list(materialize.process((str(damaged), str(target))))
    assert target.read_bytes() == whole and not list((tmp_path / "writing").iterdir())
