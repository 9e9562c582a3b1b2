"""The index beside packed records: what it finds, and what it refuses."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputError
from models.input.index import IndexBuilder, index_path, read_index


@pytest.fixture
def copy(shards: Any, tmp_path: Path) -> str:
    """A file of records, with its index, that a test may damage."""
    for path in (shards.files[0], index_path(shards.files[0])):
        copied = tmp_path / Path(path).relative_to(Path(shards.files[0]).parents[1])
        copied.parent.mkdir(parents=True)
        shutil.copy(path, copied)
    return str(tmp_path / "Split-train" / Path(shards.files[0]).name)


def test_the_bytes_of_each_stream_are_a_slice_of_the_file(shards: Any) -> None:
    index = read_index(shards.files[::-1])
    assert len(index) == len(shards.videos)
    for number, (frames, labels) in enumerate(zip(shards.videos, shards.labels, strict=True)):
        content = Path(sorted(shards.files)[index.file[number]]).read_bytes()
        assert index.frames[number] == len(frames)
        for name, stream in (("rgb", frames[:, :1024]), ("audio", frames[:, 1024:])):
            start = index.starts[name][number]
            assert content[start : start + stream.size] == stream.tobytes()
        assert index.labels_of(np.array([number]))[1].tolist() == labels


def test_labels_of_several_videos_come_with_their_rows(shards: Any) -> None:
    rows, labels = read_index(shards.files).labels_of(np.array([7, 0, 7]))
    expected = [(row, label) for row, video in enumerate((7, 0, 7)) for label in shards.labels[video]]
    assert list(zip(rows.tolist(), labels.tolist(), strict=True)) == expected


def test_the_index_of_a_split_lies_outside_its_folder(shards: Any) -> None:
    assert sorted(Path(shards.files[0]).parent.iterdir()) == [Path(file) for file in shards.files]


def test_a_million_videos_take_50_megabytes() -> None:
    builder = IndexBuilder()
    for number in range(1000):
        builder.add({"rgb": number, "audio": number}, 300, [1, 2, 3])
    # 3.4 labels a video, as in YouTube-8M, would be two bytes more.
    assert len(builder.to_bytes(1)) < 1000 * 45


def test_a_file_without_an_index_is_refused(copy: str) -> None:
    Path(index_path(copy)).unlink()
    with pytest.raises(InputError, match=rf"{copy} has no index \(.*data-00.npz\): the step .* must run again"):
        read_index([copy])


def test_a_file_of_another_size_is_refused(copy: str) -> None:
    size = Path(copy).stat().st_size
    with Path(copy).open("ab") as file:
        file.truncate(size - 1)
    with pytest.raises(InputError, match=f"{copy} has {size - 1:,} bytes, its index is of a file of {size:,}:"):
        read_index([copy])


def test_an_index_of_another_version_is_refused(copy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.input.index.VERSION", 2)
    with pytest.raises(InputError, match="is an index of version 1, expected 2: the step"):
        read_index([copy])


@given(st.data())
def test_a_damaged_index_is_refused_or_unchanged(shards: Any, tmp_path_factory: Any, data: st.DataObject) -> None:
    file = shards.files[2]
    path, expected = Path(index_path(file)), read_index([file])
    whole = path.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    damaged = bytearray(whole)
    damaged[place] ^= data.draw(st.integers(1, 255))
    if data.draw(st.booleans()):
        damaged = damaged[:place]
    path.write_bytes(damaged)
    try:
        index = read_index([file])
    except InputError as error:
        assert str(path) in str(error) or file in str(error)
        assert str(error).endswith("the step that wrote it must run again") and "pickle" not in str(error)
        return
    finally:
        path.write_bytes(whole)
    # Dates and such in a zip file have no checksum.
    for name in ("file", "frames", "label_splits", "labels"):
        np.testing.assert_array_equal(getattr(index, name), getattr(expected, name))
    assert index.starts.keys() == expected.starts.keys()
    for name, starts in index.starts.items():
        np.testing.assert_array_equal(starts, expected.starts[name])
