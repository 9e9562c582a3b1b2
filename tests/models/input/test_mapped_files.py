"""Files in a store: copied ahead of their use, within a limit, and read as local ones."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import tensorflow as tf

from models.errors import InputError
from models.input.index import index_path, read_index
from models.input.indexed_batches import IndexedBatches
from models.input.mapped_files import CachedFiles


@pytest.fixture
def stored(write_shards: Any, tmp_path: Path, request: pytest.FixtureRequest) -> Any:
    """Six files of four videos each in TensorFlow's file system in memory, which stands for a store."""
    shards = write_shards(tmp_path / "local", (4,) * 6)
    root = f"ram://{request.node.name}"
    for number, file in enumerate(shards.files):
        shards.files[number] = file.replace(str(tmp_path / "local"), root)
        for path in (file, index_path(file)):
            tf.io.gfile.copy(path, path.replace(str(tmp_path / "local"), root))
    return shards


@pytest.fixture
def copied() -> Iterator[list[str]]:
    """The names of the files that are copied."""
    names: list[str] = []
    copy = tf.io.gfile.copy

    def counted(source: str, target: str) -> None:
        names.append(source.rsplit("/", 1)[1])
        copy(source, target)

    with patch("tensorflow.io.gfile.copy", counted):
        yield names


def frames_of(batches: IndexedBatches) -> list[bytes]:
    return [
        video[:length].tobytes()
        for inputs, _ in batches
        for video, length in zip(inputs["frames"].numpy(), inputs["num_frames"].numpy(), strict=True)
    ]


def limited(stored: Any, limit: int) -> Any:
    """The index, with a cache of so many bytes."""
    index = read_index(stored.files)
    assert isinstance(index.files, CachedFiles)
    index.files._limit = limit
    return index


def test_a_store_is_read_once_where_the_disk_has_room(stored: Any, copied: list[str]) -> None:
    index = limited(stored, 10**9)
    expected = sorted(video.tobytes() for video in stored.videos)
    first, second = (frames_of(IndexedBatches(index, 10, 5).shuffled(seed)) for seed in ("0", "1"))
    assert sorted(first) == sorted(second) == expected and first != second
    assert sorted(copied) == [f"data-{number:02d}" for number in range(6)]


def test_more_than_the_disk_holds_is_shuffled_in_groups_of_files(stored: Any, copied: list[str]) -> None:
    sizes = [tf.io.gfile.stat(file).length for file in stored.files]
    index = limited(stored, 4 * max(sizes))  # two groups of two files
    expected = sorted(video.tobytes() for video in stored.videos)
    orders = []
    for seed in ("0", "1"):
        batches = IndexedBatches(index, 10, 2, readers=1).shuffled(seed)  # which reads less than a group ahead
        orders.append(frames_of(batches))
        assert sorted(orders[-1]) == expected
        assert sum(index.files._sizes[number] for number in index.files._copies) <= index.files._limit
        files = index.file[batches._order].reshape(3, 8)  # three groups, each of all videos of two files
        assert [len(set(group)) for group in files.tolist()] == [2, 2, 2]
        assert any(sorted(group) != group for group in files.tolist())
    assert orders[0] != orders[1]
    assert 6 <= len(copied) <= 12  # once in the first epoch, some again in the second


def test_the_next_group_is_copied_while_one_is_read(stored: Any, copied: list[str]) -> None:
    files = limited(stored, 10**9).files
    files.announce([[4], [2, 0], [1], [3]])
    for number in (4, 2, 0):
        files._copies[number].result()
    assert sorted(copied) == ["data-00", "data-02", "data-04"]
    files.open(4)
    assert files._copies.keys() == {4, 2, 0}
    files.open(0)
    files._copies[1].result()
    assert copied[3:] == ["data-01"]


def test_validation_reads_a_store_in_the_order_of_its_files(stored: Any, copied: list[str]) -> None:
    index = limited(stored, 0)  # two groups, here files, are kept in any case
    assert frames_of(IndexedBatches(index, 10, 5, readers=1)) == [video.tobytes() for video in stored.videos]
    assert len(copied) == 6  # each once; a file and the next are copied together
    assert all(abs(place - int(name[-2:])) <= 1 for place, name in enumerate(copied))


def test_a_file_that_cannot_be_copied_is_named(stored: Any) -> None:
    index = read_index(stored.files)
    tf.io.gfile.remove(stored.files[3])
    with pytest.raises(InputError, match=rf"^{stored.files[3]} cannot be copied to [^:]*: NotFoundError"):
        frames_of(IndexedBatches(index, 10, 5))


def test_copies_leave_nothing_on_the_disk(stored: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    index = read_index(stored.files)
    np.testing.assert_equal(len(frames_of(IndexedBatches(index, 10, 5).shuffled("0"))), len(stored.videos))
    assert list((tmp_path / "temporary").iterdir()) == []
