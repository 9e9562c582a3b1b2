"""`--out` of predict and compile: files are replaced when complete, links stay, devices and pipes are written."""

import os
import stat
import subprocess
import sys
from pathlib import Path
from threading import Thread

import pytest

from models.errors import InputError
from pipeline.files.output_file import open_output


@pytest.fixture
def predict(runs, video_record, write_shard, tmp_path, yt8m):
    """`(out)` -> the command's answer; `expected` is the output that it should have written."""
    data = write_shard(tmp_path / "data" / "a.tfrecord", [video_record("good")])
    expected = "VideoId,LabelConfidencePairs\ngood,"
    return lambda out: (yt8m("predict", runs / "average", "--data", data, "--out", out), expected)


def test_a_pipe_is_written_and_stays(predict, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    for name in ("pipe", "link"):
        read = []
        reader = Thread(target=lambda read=read: read.append((tmp_path / "pipe").read_text()), daemon=True)
        reader.start()
        answer, expected = predict(tmp_path / name)
        assert answer.code == 0 and (tmp_path / "pipe").is_fifo()
        reader.join(300)
        assert read[0].startswith(expected)


def test_a_device_is_written_and_stays(predict, tmp_path):
    controller, terminal = os.openpty()
    device = os.ttyname(terminal)
    before = os.stat(device)
    answer, expected = predict(device)
    assert answer.code == 0 and os.stat(device).st_rdev == before.st_rdev
    assert os.read(controller, 1000).decode().replace("\r\n", "\n").startswith(expected)
    os.close(controller), os.close(terminal)


def test_standard_output_can_be_named_by_a_path(predict):
    for name in ("/dev/stdout", "/proc/self/fd/1", "/dev/fd/1"):
        answer, expected = predict(name)
        assert answer.code == 0 and answer.out.startswith(expected)


def test_a_file_behind_standard_output_keeps_its_content(tmp_path):
    (tmp_path / "log").write_text("before\n")
    program = (
        "import pathlib, pipeline.files.output_file as o\n"
        "with o.open_output(pathlib.Path('/dev/stdout'), []) as file: file.write('x')"
    )
    with (tmp_path / "log").open("a") as log:
        subprocess.run([sys.executable, "-c", program], stdout=log, check=True)
    assert (tmp_path / "log").read_text() == "before\nx"


def test_a_link_stays_and_its_target_is_replaced_with_its_mode(predict, tmp_path):
    target = tmp_path / "elsewhere" / "answers.csv"
    target.parent.mkdir()
    target.write_text("old")
    target.chmod(0o600)
    before = target.stat()
    (tmp_path / "one").symlink_to("elsewhere/answers.csv")
    (tmp_path / "two").symlink_to(tmp_path / "one")
    answer, expected = predict(tmp_path / "two")
    assert answer.code == 0 and target.read_text().startswith(expected)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600 and target.stat().st_ino != before.st_ino
    assert (tmp_path / "one").is_symlink() and (tmp_path / "two").is_symlink()
    assert list(target.parent.iterdir()) == [target]
    target.unlink()
    answer, expected = predict(tmp_path / "two")
    assert answer.code == 0 and target.read_text().startswith(expected)


def test_a_new_file_has_the_mode_of_new_files(tmp_path):
    (tmp_path / "other").touch()
    with open_output(tmp_path / "out", []):
        pass
    assert (tmp_path / "out").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_a_file_that_is_not_complete_leaves_the_old_one(tmp_path):
    out = tmp_path / "out"
    out.write_text("old")
    with pytest.raises(KeyboardInterrupt), open_output(out, []) as file:
        file.write("new")
        raise KeyboardInterrupt
    assert out.read_text() == "old" and list(tmp_path.iterdir()) == [out]


def test_the_next_command_overwrites_the_partial_file_of_a_killed_one(tmp_path):
    program = f"""
import os, signal, pathlib, pipeline.files.output_file as o
with o.open_output(pathlib.Path({str(tmp_path / "out")!r}), []) as file:
    file.write("half" * 100_000)
    os.kill(os.getpid(), signal.SIGTERM)
"""
    assert subprocess.run([sys.executable, "-c", program]).returncode == -15
    assert [path.name for path in tmp_path.iterdir()] == [".out.partial"]
    with open_output(tmp_path / "out", []) as file:
        file.write("whole")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("out", "whole")]


def test_two_commands_do_not_write_one_file(tmp_path):
    out = str(tmp_path / "out")
    program = f"import pathlib, pipeline.files.output_file as o\nwith o.open_output(pathlib.Path({out!r}), []): pass"
    with open_output(tmp_path / "out", []) as file:
        second = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        file.write("whole")
    assert "InputError" in second.stderr and "another process is writing it" in second.stderr
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("out", "whole")]


def test_a_file_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").touch()
    for name, reason in (
        ("loop", "Too many levels of symbolic links"),
        ("loop/x", "Too many levels of symbolic links"),
        ("file/x", "Not a directory"),
        ("no/x", "No such file or directory"),
        ("x" * 300, "File name too long"),
        (".", "Is a directory"),
    ):
        with pytest.raises(InputError, match=", expected a file") as error, open_output(tmp_path / name, []):
            pass
        assert reason in str(error.value)
    assert {path.name for path in tmp_path.iterdir()} == {"loop", "file"}


def test_a_package_is_complete_or_absent(yt8m, tmp_path):
    """With wrong cluster settings, the package compiled before stays."""
    out = tmp_path / "package.yaml"
    out.write_text("of last week")
    Path(tmp_path / "cluster.yaml").write_text("cluster: {}")
    options = ("--cluster", tmp_path / "cluster.yaml", "--data", "gs://b/x", "--experiment", "netvlad-8", "--out", out)
    assert yt8m("compile", *options).code == 2
    assert out.read_text() == "of last week" and {path.name for path in tmp_path.iterdir()} == {
        "package.yaml",
        "cluster.yaml",
    }
    answer = yt8m("compile", *options[:-1], tmp_path / "no" / "x")
    assert (answer.code, answer.err) == (
        2,
        f"error: --out is '{tmp_path}/no/x': No such file or directory, expected a file\n",
    )


def test_no_output_replaces_what_the_command_reads(predict, runs, yt8m, tmp_path):
    data = tmp_path / "data"
    for name in ("vocabulary.csv", "oracle.json"):
        (data / name).write_text("[1]")
    (tmp_path / "link").symlink_to(data / "a.tfrecord")
    card = next((runs / "average" / "serving").glob("*/assets.extra/model_card.json"))
    before = {path: path.read_bytes() for path in (*data.iterdir(), card)}
    for out in (*data.iterdir(), tmp_path / "link", card):
        answer, _ = predict(out)
        assert answer.code == 2 and f"error: --out is '{out}': it would replace an input of the command" in answer.err
    assert {path: path.read_bytes() for path in before} == before


def test_no_package_replaces_what_it_is_compiled_from(yt8m, tmp_path):
    cluster, own = tmp_path / "cluster.yaml", tmp_path / "own.yaml"
    cluster.write_text("cluster: {image: 'r/yt8m:1', pipeline_root: gs://a/runs, push_directory: gs://a/serving}")
    own.write_text("mine: {base: average-576}")
    arguments = ("--cluster", cluster, "--data", "gs://a/b", "--experiment", "mine", "--experiment-file", own)
    for out in (cluster, own):
        answer = yt8m("compile", *arguments, "--out", out)
        assert answer.code == 2 and "it would replace an input of the command" in answer.err
    assert cluster.read_text().startswith("cluster:") and own.read_text().startswith("mine:")
