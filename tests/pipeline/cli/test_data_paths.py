"""Which files `--data` and `--vocabulary` mean: none is left out silently, none makes a command hang."""

import json
import os
import shutil
import socket

import pytest

from components.example_gen.input_files import find_files

SHARDS = ["a.tfrecord", "b.tfrecord", "c.tfrecord"]


@pytest.fixture
def data(tmp_path, write_shard, video_record, monkeypatch):
    """Three shards of two videos in `data`; the working directory is its parent."""
    for shard in SHARDS:
        write_shard(tmp_path / "data" / shard, [video_record(f"{shard[0]}{number}", [0]) for number in range(2)])
    (tmp_path / "data" / "vocabulary.csv").write_text("Index,Name\n0,a\n1,b\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data"


def names(files):
    return [os.path.basename(file.path) for file in files.files]


@pytest.fixture
def videos(yt8m):
    """`(pattern)` -> number of videos that `yt8m stats` counts."""

    def count(pattern, *arguments):
        answer = yt8m("stats", "--data", pattern, "--split", "id:1/1/1", "--json", "--out", "out", *arguments)
        assert answer.code == 0, answer.err
        return sum(split["videos"] for split in json.loads(answer.out)["splits"].values())

    return count


@pytest.fixture
def refusal(yt8m):
    """`(pattern)` -> the one line with which `yt8m stats` refuses it."""

    def refused(pattern, *arguments):
        answer = yt8m("stats", "--data", pattern, "--split", "id:1/1/1", "--out", "out", *arguments)
        assert (answer.code, answer.out) == (2, "") and answer.err.count("\n") == 1
        return answer.err

    return refused


def test_a_folder_whose_name_is_a_pattern_is_taken_literally(data, videos):
    data.rename("yt8m [2018] *?")
    shutil.copytree("yt8m [2018] *?", "sets {1,2}/span-2")
    shutil.copytree("yt8m [2018] *?", "sets {1,2}/span-3")
    assert videos("yt8m [2018] *?") == 6
    assert names(find_files("yt8m [2018] *?/[ab]*")) == SHARDS[:2]
    files = find_files("sets {1,2}/span-{SPAN}", spans=2)
    assert (len(files.spans), names(files)) == (2, SHARDS * 2) and find_files(files.pattern).spans == files.spans


def test_links_are_followed(data, videos):
    os.mkdir("links")
    os.symlink("../data", "links/set")
    assert videos("links") == 6
    assert names(find_files("links/*/*.tfrecord")) == SHARDS


def test_what_is_not_a_file_is_refused_without_waiting(data, refusal):
    os.mkfifo("data/pipe.tfrecord")
    for pattern in ("data", "data/*", "data/pipe.tfrecord"):
        assert "data/pipe.tfrecord' is a pipe, expected a file" in refusal(pattern)
    os.remove("data/pipe.tfrecord")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("data/s.tfrecord")
    assert "data/s.tfrecord' is a socket, expected a file" in refusal("data")
    assert "'/dev/null' is a device, expected a file" in refusal("/dev/null")


def test_tfrecords_with_the_name_of_another_file_are_refused(data, refusal):
    for name in ("notes.txt", "shard.json", "x.log", "README"):
        shutil.copy("data/a.tfrecord", f"data/{name}")
        assert f"data/{name}' seems to hold TFRecords" in refusal("data")
        os.remove(f"data/{name}")


def test_links_to_nothing_and_in_circles_are_refused(data, refusal):
    os.symlink("/gone/span-1", "data/more")
    assert "data/more' links to '/gone/span-1': No such file or directory" in refusal("data")
    assert "data/more' links to '/gone/span-1': No such file or directory" in refusal("data/*/*.tfrecord")
    os.remove("data/more")
    os.symlink(".", "data/up")
    assert "up' links to a folder that it lies in" in refusal("data")
    os.remove("data/up")
    os.symlink("self.tfrecord", "data/self.tfrecord")
    assert "data/self.tfrecord' links to 'self.tfrecord': Too many levels of symbolic links" in refusal("data/self*")


def test_a_file_with_two_names_is_refused(data, refusal):
    os.symlink("a.tfrecord", "data/z.tfrecord")
    assert "data/a.tfrecord' and '" in (line := refusal("data")) and "data/z.tfrecord' are the same file" in line


def test_files_without_permission_to_read_are_refused(data, refusal, monkeypatch):
    # Root may read everything, so the system calls are replaced.
    names, access = os.listdir, os.access

    def listdir(path):
        if str(path).endswith("secret"):
            raise PermissionError(13, "Permission denied")
        return names(path)

    os.mkdir("data/secret")
    monkeypatch.setattr(os, "listdir", listdir)
    assert "cannot list '" in (line := refusal("data")) and "data/secret': Permission denied" in line
    os.rmdir("data/secret")
    monkeypatch.setattr(os, "access", lambda path, mode: not path.endswith("b.tfrecord") and access(path, mode))
    assert "data/b.tfrecord': Permission denied" in refusal("data")


@pytest.mark.parametrize(
    "name",
    [
        "x.tfrecords",
        "x.tfrec",
        "x.TFRecord",
        "x-00000-of-00100",
        "x.tfrecord-00001-of-00002",
        "x-00000-of-00001.tfrecord",
    ],
)
def test_other_names_of_shards(data, name):
    os.rename("data/b.tfrecord", f"data/{name}")
    assert names(find_files("data")) == ["a.tfrecord", "c.tfrecord", name]


def test_hidden_and_unrelated_files_are_left_out(data, videos):
    for name in (
        "._a.tfrecord",
        ".a.tfrecord.part",
        "_temporary/0/a.tfrecord",
        ".ipynb_checkpoints/a.tfrecord",
        "lost+found/x",
    ):
        path = data / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"no shard")
    for name in ("oracle.txt", "README.md", "MD5SUMS", "a.tfrecord.md5", "a.tfrecord.idx"):
        (data / name).write_text("x")
    assert videos("data") == 6
    assert names(find_files("data/*")) == names(find_files("data/**")) == SHARDS


def test_a_hidden_folder_that_is_named_is_read(data, videos):
    os.makedirs(".cache/_x")
    data.rename(".cache/_x/data")
    assert names(find_files(".cache/_x/data")) == names(find_files(".cache/_*/*/*")) == SHARDS


def test_tfrecords_that_a_folder_would_leave_out_are_refused(data, refusal):
    for name in ("part-r-00000", "a.tfrecord.bak"):
        shutil.copy("data/a.tfrecord", f"data/{name}")
        assert f"data/{name}' seems to hold TFRecords" in refusal("data")
        os.remove(f"data/{name}")
    os.rename("data/a.tfrecord", "data/part-r-00000")
    assert len(find_files("data/*").files) == 3


@pytest.mark.parametrize("name", ["train.zip", "shards.tar", "data.TGZ", "a.tfrecord.tar.gz"])
def test_archives_in_a_folder_are_refused(data, refusal, name):
    (data / name).write_bytes(b"x")
    assert f"data/{name}' is an archive, expected the files in it: unpack or remove it, or say" in refusal("data")
    assert names(find_files("data/*.tfrecord")) == SHARDS


def test_the_error_for_a_folder_without_shards_lists_its_content(data, refusal):
    for shard in SHARDS:
        os.remove(f"data/{shard}")
    assert "data': the folder holds 'vocabulary.csv', expected *.tfrecord, *.tfrecords" in refusal("data")


def test_the_newest_span_is_read_alone(data, videos):
    data.rename("span-7")
    shutil.copytree("span-7", "span-12")
    assert videos("span-{SPAN}/*") == 6
    for pattern in ("span-{SPAN}", "span-{SPAN}/[a-b]*", "span-{SPAN}/**.tfrecord"):
        files = find_files(pattern)
        assert names(files) == (SHARDS[:2] if "[" in pattern else SHARDS) and files.span == 12
        assert find_files(files.pattern).spans == files.spans


def test_files_that_a_policy_of_the_thesis_would_leave_out_are_refused(data, yt8m):
    for old, new in zip(SHARDS, ("train0", "validate0", "extra"), strict=True):
        os.rename(f"data/{old}", f"data/{new}.tfrecord")
    shutil.copy("data/train0.tfrecord", "data/train1.tfrecord")
    line = yt8m("stats", "--data", "data", "--split", "thesis-video").err
    assert (
        "split thesis-video goes by the names train* and validate*, found '" in line and "extra.tfrecord' too" in line
    )


def classes(answer):
    assert answer.code == 0, answer.err
    return len(json.loads(answer.out)["splits"]["train"]["label_frequency"])


def test_the_vocabulary_of_a_folder_with_shards_in_subfolders(data, yt8m):
    os.mkdir("data/deep")
    for shard in SHARDS:
        os.rename(f"data/{shard}", f"data/deep/{shard}")
    assert classes(yt8m("stats", "--data", "data", "--split", "id:1/1/1", "--json")) == 2


VOCABULARIES = {
    b"": "is empty, expected the columns Index and Name",
    b"Index;Name\n0;a\n": "has columns ['Index;Name'], expected Index and Name, separated by commas, not by ';'",
    "Index,Name\n0,a\n1,b\n".encode("utf-16"): "is UTF-16 text, expected UTF-8",
    b"Index,Name\n0,a\n1,caf\xe9\n": "line 3: byte 0xe9 is not UTF-8 text",
    b"Index,Name\n0,a\n1,b\0c\n": "line 3: holds a zero byte",
    b"Index,Name\n0,a\n1,Tom, Jerry\n": "line 3: has 3 values for 2 columns",
    b"Index,Name\n0,a\n1\n": "line 3: has 1 values for 2 columns",
    b"Index,Name,name\n0,a,b\n": "has the column Name twice",
    b"Index,Label\n0,a\n1,b\n": "has columns ['Index', 'Label'], expected Index and Name",
    b"Index,Name\n0,a\n1,a\n": "line 3: Index 0 has the name 'a' too",
    b"Index,Name\n0,a\n1.0,b\n": "line 3: Index is '1.0', expected a whole number",
    b'Index,Name\n0,a\n1,"b\n' + b"2,c\n" * 50_000: "line 3: unexpected end of data: is a quote left open?",
    b'Index,Name\n0,"a\n1,"b"\n': "line 2: ',' expected after '\"': is a quote left open?",
}


@pytest.mark.parametrize("content", VOCABULARIES, ids=VOCABULARIES.values())
def test_a_vocabulary_that_cannot_be_used_is_named_with_its_line(data, refusal, content):
    (data / "vocabulary.csv").write_bytes(content)
    line = refusal("data")
    assert line.startswith(f"error: vocabulary {data}/vocabulary.csv") and VOCABULARIES[content] in line


def test_what_is_not_a_vocabulary_file_is_refused(data, refusal):
    os.mkfifo("pipe.csv")
    assert "pipe.csv' is a pipe, expected a file" in refusal("data", "--vocabulary", "pipe.csv")
    assert "data' is a folder, expected a file" in refusal("data", "--vocabulary", "data")


def test_long_fields_other_cases_and_blank_rows_are_read(data, yt8m):
    long = "x" * 200_000
    (data / "vocabulary.csv").write_text(f" INDEX ,name,WikiDescription\n 1 ,b,{long}\n,,\n0,a\n")
    assert classes(yt8m("stats", "--data", "data", "--split", "id:1/1/1", "--json")) == 2


def test_files_that_a_run_has_written_beside_the_shards_are_not_data(data, write_shard, video_record):
    for folder in ("x/pipeline_root/ExampleGen/examples/1/Split-train", "x/logs/train", "x/checkpoints"):
        write_shard(data / folder / "data_tfrecord-00000-of-00001", [video_record()])
        write_shard(data / folder / "events.out.tfevents.1.host.2.0.v2", [b"x"])
    (data / "x" / "steps.json").write_text("[]")
    os.rename("data/a.tfrecord", "data/x/a.tfrecord")
    assert names(find_files("data")) == ["b.tfrecord", "c.tfrecord", "a.tfrecord"]
    assert names(find_files("data/x")) == ["a.tfrecord"]


def test_the_parent_of_a_link_is_the_parent_of_its_target(data, videos):
    os.makedirs("other/place")
    os.symlink("other/place", "link")
    shutil.copytree("data", "other/data")
    shutil.rmtree("data")
    assert videos("link/../data") == 6
