"""Where the names of a data set's labels come from."""

import pytest

from components.example_gen.input_files import find_files
from models.errors import InputError
from pipeline.data.vocabulary import find_vocabulary, load_vocabulary
from pipeline.settings import DataSettings


def names(data):
    vocabulary = find_vocabulary(data, find_files(data.pattern))
    return load_vocabulary(data.model_copy(update={"vocabulary": vocabulary})).names


def test_a_vocabulary_beside_the_shards_is_found(tmp_path):
    (tmp_path / "a.tfrecord").write_bytes(b"")
    (tmp_path / "vocabulary.csv").write_text("\ufeffIndex,Name\n1,b\n0,a\n", encoding="utf-8")
    assert names(DataSettings(pattern=str(tmp_path))) == ("a", "b")


@pytest.mark.parametrize("pattern", ["span-{SPAN}", "span-{4,3}"])
def test_a_vocabulary_in_the_folder_of_the_newest_span_is_found(tmp_path, pattern):
    for span, name in ((3, "old"), (4, "new")):
        shard = tmp_path / f"span-{span}" / "shards" / "a.tfrecord"
        shard.parent.mkdir(parents=True)
        shard.touch()
        (tmp_path / f"span-{span}" / "vocabulary.csv").write_text(f"Index,Name\n0,{name}\n")
    assert names(DataSettings(pattern=f"{tmp_path}/{pattern}")) == ("new",)


def test_the_vocabulary_of_the_settings_wins(tmp_path):
    (tmp_path / "a.tfrecord").write_bytes(b"")
    (tmp_path / "vocabulary.csv").write_text("Index,Name\n0,a\n")
    (tmp_path / "mine.csv").write_text("Index,Name\n0,mine\n")
    assert names(DataSettings(pattern=str(tmp_path), vocabulary=str(tmp_path / "mine.csv"))) == ("mine",)


def test_without_a_vocabulary_the_ids_are_the_names(tmp_path):
    (tmp_path / "a.tfrecord").write_bytes(b"")
    assert names(DataSettings(pattern=str(tmp_path), classes=3)) == ("0", "1", "2")


def test_a_missing_vocabulary_is_named(tmp_path):
    with pytest.raises(InputError, match=r"vocabulary: cannot read '/nowhere/v.csv'"):
        load_vocabulary(DataSettings(pattern=str(tmp_path), vocabulary="/nowhere/v.csv"))
