"""Attempts that fail, are cancelled, repeated or made at the same time: only what is whole gets its name."""

import pytest
import tensorflow as tf

from components.example_gen.ingest import Shard, _IngestShard
from components.example_gen.input_files import InputFile
from components.example_gen.splits import SplitPolicy
from components.publishing import Attempt
from components.transform.component import _Materialize

VIDEOS = 30


@pytest.fixture
def attempt(tmp_path, write_shard, frame_record):
    """Begins to ingest a shard, as a Beam worker does: an iterator that ends with the attempt."""
    path = write_shard(tmp_path / "train.tfrecord", [frame_record(f"{n:04d}", [1]) for n in range(VIDEOS)])
    shard = Shard(InputFile(str(path), path.stat().st_size, 0), 0, 1, "train")
    policy = SplitPolicy.parse("id:60/20/20", False)
    places = [str(tmp_path / name) for name in ("examples", "quarantine", "examples/writing")]
    return lambda: _IngestShard(*places, policy, "frame", 10, []).process(shard)


@pytest.fixture
def published(tmp_path):
    """What has a name: file -> number of records."""

    def count():
        files = (tmp_path / "examples").glob("Split-*/*")
        return {path.name: sum(1 for _ in tf.data.TFRecordDataset(str(path))) for path in files}

    return count


WHOLE = {"data_tfrecord-00000-of-00001": VIDEOS}


def some(attempt):
    """Lets an attempt write its first records."""
    return [next(attempt) for _ in range(5)]


def test_a_cancelled_attempt_replaces_nothing(attempt, published, tmp_path):
    cancelled = attempt()
    some(cancelled)
    cancelled.close()
    assert published() == {} and not list((tmp_path / "examples" / "writing").iterdir())
    assert len(list(attempt())) == VIDEOS + 1
    late = attempt()
    some(late)
    late.close()
    assert published() == WHOLE


def test_attempts_at_the_same_time_and_repeated_ones_publish_the_same(attempt, published, tmp_path):
    first, second = attempt(), attempt()
    some(first)
    list(second)
    assert published() == WHOLE
    [file] = (tmp_path / "examples").glob("Split-*/*")
    written = file.read_bytes()
    list(first)
    list(attempt())
    assert published() == WHOLE and file.read_bytes() == written


def test_an_attempt_that_raises_replaces_nothing(tmp_path):
    target = tmp_path / "file"
    target.write_bytes(b"whole")
    with pytest.raises(OSError, match="gone"), Attempt(str(tmp_path / "writing")) as attempt:
        attempt.open(str(target)).write(b"half")
        raise OSError("the input is gone")
    assert target.read_bytes() == b"whole" and not list((tmp_path / "writing").iterdir())


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
