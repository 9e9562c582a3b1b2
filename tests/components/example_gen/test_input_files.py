"""Patterns, spans and levels."""

import pytest

from components.example_gen.input_files import detect_level, find_files
from models.errors import InputError


@pytest.fixture
def folder(tmp_path, write_shard, video_record):
    for name in ("train0000", "train0001", "validate0000"):
        write_shard(tmp_path / f"{name}.tfrecord", [video_record()])
    (tmp_path / "vocabulary.csv").write_text("Index,Name\n0,a\n")
    return tmp_path


def names(files):
    return [file.path.rpartition("/")[2] for file in files.files]


def test_a_folder_gives_its_shards_and_nothing_else(folder):
    assert names(find_files(str(folder))) == ["train0000.tfrecord", "train0001.tfrecord", "validate0000.tfrecord"]
    assert names(find_files(f"{folder}/")) == names(find_files(str(folder)))


def test_a_folder_gives_the_shards_of_its_subfolders(tmp_path, write_shard, video_record):
    write_shard(tmp_path / "frame" / "train" / "a.tfrecord", [video_record()])
    assert names(find_files(str(tmp_path))) == ["a.tfrecord"]


def test_a_glob_and_a_single_file(folder):
    assert names(find_files(f"{folder}/train*.tfrecord")) == ["train0000.tfrecord", "train0001.tfrecord"]
    assert names(find_files(f"{folder}/train0001.tfrecord")) == ["train0001.tfrecord"]


def test_the_newest_span_is_used(tmp_path, write_shard, video_record):
    for span in (2, 10, 9):
        write_shard(tmp_path / f"span-{span}" / "a.tfrecord", [video_record()])
    files = find_files(f"{tmp_path}/span-{{SPAN}}/*.tfrecord")
    assert (files.span, len(files.files)) == (10, 1)
    assert files.pattern == f"{tmp_path}/span-10/*.tfrecord"


def test_a_span_of_fixed_width(tmp_path, write_shard, video_record):
    for span in ("0007", "0008", "12"):
        write_shard(tmp_path / span / "a.tfrecord", [video_record()])
    files = find_files(f"{tmp_path}/{{SPAN:4}}/a.tfrecord")
    assert (files.span, files.pattern) == (8, f"{tmp_path}/0008/a.tfrecord")


def test_the_newest_spans_are_used_newest_first(tmp_path, write_shard, video_record):
    for span in (2, 10, 9):
        for name in "ba":
            write_shard(tmp_path / f"span-{span}" / f"{span}-{name}.tfrecord", [video_record()])
    files = find_files(f"{tmp_path}/span-{{SPAN}}/{{SPAN}}-*.tfrecord", spans=2)
    assert (files.span, files.pattern) == (10, f"{tmp_path}/span-{{10,9}}/{{10,9}}-*.tfrecord")
    assert names(files) == ["10-a.tfrecord", "10-b.tfrecord", "9-a.tfrecord", "9-b.tfrecord"]
    again = find_files(files.pattern)
    assert (again.spans, again.fingerprint) == (files.spans, files.fingerprint)


def test_all_spans_are_used_where_there_are_fewer(tmp_path, write_shard, video_record):
    for span in ("0", "7"):
        write_shard(tmp_path / f"000{span}" / "a.tfrecord", [video_record()])
    files = find_files(f"{tmp_path}/{{SPAN:4}}/*", spans=3)
    assert (files.span, files.pattern, len(files.spans)) == (7, f"{tmp_path}/{{0007,0000}}/*", 2)


def test_lists_of_spans_of_different_lengths_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"the lists of spans in .* are not equally long"):
        find_files(f"{tmp_path}/{{1,2}}/{{1,2,3}}.tfrecord")


@pytest.mark.parametrize("pattern", ["nowhere", "*.csv.gz", "span-{SPAN}/*"])
def test_a_pattern_that_matches_nothing_is_named_with_its_option(tmp_path, pattern):
    with pytest.raises(InputError, match="test_data: no file matches") as error:
        find_files(f"{tmp_path}/{pattern}", "test_data")
    assert pattern in str(error.value)


def test_the_fingerprint_changes_with_the_files(folder, write_shard, video_record):
    before = find_files(str(folder)).fingerprint
    assert find_files(str(folder)).fingerprint == before
    write_shard(folder / "train0001.tfrecord", [video_record(), video_record()])
    assert find_files(str(folder)).fingerprint != before


def test_the_level_comes_from_the_first_readable_record(tmp_path, write_shard, frame_record):
    (tmp_path / "a.tfrecord").write_bytes(b"")
    write_shard(tmp_path / "b.tfrecord", [b"\x0a\xff", frame_record()])
    assert detect_level(find_files(str(tmp_path))) == "frame"


def test_no_readable_record_is_an_error(tmp_path):
    (tmp_path / "a.tfrecord").write_bytes(b"")
    with pytest.raises(InputError, match=r"no readable record in 1 file; first: .*a.tfrecord, record 0: the file is"):
        detect_level(find_files(str(tmp_path)))


def test_a_span_keeps_its_digits(tmp_path, write_shard, video_record):
    for span in ("009", "010"):
        write_shard(tmp_path / f"span-{span}" / f"{span}.tfrecord", [video_record()])
    (tmp_path / "span-011").mkdir()  # holds no shard yet
    files = find_files(f"{tmp_path}/span-{{SPAN}}/{{SPAN}}*")
    assert (files.span, files.pattern) == (10, f"{tmp_path}/span-010/010*")
    (tmp_path / "span-10").mkdir()
    with pytest.raises(InputError, match="has the span 10 twice, as "):
        find_files(f"{tmp_path}/span-{{SPAN}}/*")


def test_errors_in_an_older_span_do_not_matter(tmp_path, write_shard, video_record):
    write_shard(tmp_path / "span-2" / "a.tfrecord", [video_record()])
    (tmp_path / "span-1").symlink_to("/moved/away")
    assert find_files(f"{tmp_path}/span-{{SPAN}}").span == 2
    with pytest.raises(InputError, match="span-1'"):
        find_files(f"{tmp_path}/span-{{SPAN}}", spans=2)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("", "data is empty, expected a folder, a file or a glob"),
        ("{tmp}/[z-a]*", r"'\[z-a\]\*' is not a valid glob: bad character range z-a"),
        ("{tmp}/caf\udce9", "is not UTF-8 text: rename it"),
        ("{tmp}/{SPAN}/*", f"has {'9' * 20} for {{SPAN}}, expected less than 2"),
    ],
)
def test_a_malformed_pattern_is_refused(tmp_path, pattern, message):
    (tmp_path / ("9" * 20)).mkdir()
    with pytest.raises(InputError, match=message):
        find_files(pattern.replace("{tmp}", str(tmp_path)))
