"""Full, read-only and missing disks end a command with one line on place and remedy (see also `make test-faults`)."""

import errno
import os
import re
import subprocess
import sys

import pytest

from pipeline.files import disk
from pipeline.files.disk import describe_disk_error


@pytest.fixture
def statvfs(monkeypatch):
    """Gives every disk these fields of statvfs(3); the other fields are those of an empty disk."""

    def give(**fields):
        values = {"f_bsize": 4096, "f_frsize": 4096, "f_blocks": 10**6, "f_bfree": 10**6, "f_bavail": 10**6}
        values |= {"f_files": 10**6, "f_ffree": 10**6, "f_favail": 10**6, "f_flag": 0, "f_namemax": 255} | fields
        monkeypatch.setattr(disk.os, "statvfs", lambda _: os.statvfs_result(values.values()))

    return give


def wrapped(reason):
    """Fails as TFX does, which cannot record the step's failure either."""
    try:
        try:
            raise reason
        except Exception:
            raise RuntimeError("cannot commit")  # noqa: B904
    except RuntimeError as error:
        return error


@pytest.mark.parametrize(
    ("reason", "fields", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), {"f_bavail": 3}, "no space is left on its disk: free some"),
        (OSError(errno.ENOSPC, "No space left on device"), {"f_favail": 0}, "no inodes are left on its disk"),
        (OSError(errno.EROFS, "Read-only file system"), {"f_flag": os.ST_RDONLY}, "its disk is read-only"),
        (RuntimeError("Cannot start: database or disk is full"), {"f_bavail": 0}, "no space is left on its disk"),
        (RuntimeError("attempt to write a readonly database"), {"f_flag": os.ST_RDONLY}, "its disk is read-only"),
    ],
)
def test_the_folder_and_the_remedy_are_named_whatever_error_the_library_raised(
    tmp_path, statvfs, reason, fields, words
):
    statvfs(**fields)
    for error in (reason, wrapped(reason)):
        line = describe_disk_error(error, tmp_path)
        assert line.startswith(f"{tmp_path}: {words}") and "choose another --out" in line and "\n" not in line


def test_a_disk_that_has_space_again_is_still_the_reason(tmp_path, statvfs):
    statvfs()
    line = describe_disk_error(OSError(errno.ENOSPC, "No space left on device"), tmp_path)
    assert line.startswith("no space was left on the disk; free now: ") and str(tmp_path) in line


def test_a_folder_that_no_longer_exists_is_named(tmp_path):
    line = describe_disk_error(FileNotFoundError(errno.ENOENT, "No such file"), tmp_path / "gone")
    assert line == f"{tmp_path}/gone no longer exists: repeat the command to start over"


def test_other_failures_are_not_explained(tmp_path):
    assert describe_disk_error(RuntimeError("a bug"), tmp_path) is None
    assert describe_disk_error(FileNotFoundError(errno.ENOENT, "No such file"), tmp_path) is None


@pytest.mark.parametrize("command", ["run --experiment netvlad-8", "stats", "tune netvlad-8 --run x"])
@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("a[b", "contains '[', expected a path without [ ] * ?"),
        ("what?", "contains '?', expected"),
        ("star*", "contains '*', expected"),
        ("new\nline", "contains '\\n', expected"),
        ("/proc/nowhere", "No such file or directory, expected a folder to write"),
    ],
)
def test_an_out_that_cannot_be_written_is_refused_at_once(yt8m, monkeypatch, tmp_path, command, out, words):
    monkeypatch.chdir(tmp_path)
    data = [] if command.startswith("tune") else ["--data", "x"]
    answer = yt8m(*command.split(), *data, "--out", out)
    assert answer.code == 2 and answer.err.startswith("error: --out is ") and words in answer.err
    assert answer.err.count("\n") == 1 and not list(tmp_path.iterdir())


def test_a_folder_for_temporary_files_that_cannot_be_written_is_named(yt8m, monkeypatch):
    monkeypatch.setenv("TMPDIR", "/proc")
    monkeypatch.setattr("tempfile.tempdir", None)
    answer = yt8m("experiments")
    assert answer.code == 2 and answer.err.startswith("error: TMPDIR is '/proc': cannot be written or is full")


def test_temporary_files_are_removed_with_their_command_or_by_the_next_one_after_a_kill(tmp_path, monkeypatch, yt8m):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    program = (
        "import os, tempfile\nfrom pipeline.files.temporary import temporary_folder\n"
        "with temporary_folder():\n    print(tempfile.mkdtemp(), os.environ['TMPDIR'], flush=True)\n    {}"
    )
    for end, left in (("pass", 0), ("os.kill(os.getpid(), 9)", 1)):
        done = subprocess.run(
            [sys.executable, "-c", program.format(end)], stdout=subprocess.PIPE, text=True, check=False
        )
        made, environment = done.stdout.split()
        assert made.startswith(f"{environment}/") and environment.startswith(f"{tmp_path}/yt8m-")
        assert len(list(tmp_path.iterdir())) == left
    [killed] = tmp_path.iterdir()
    monkeypatch.setattr("tempfile.tempdir", None)
    assert yt8m("experiments").code == 0 and killed.exists()  # its process might not have locked it yet
    os.utime(killed / ".lock", (0, 0))
    assert yt8m("experiments").code == 0 and not list(tmp_path.iterdir())


def test_a_closed_pipe_ends_a_command_silently():
    command = f"{sys.executable} -c 'from pipeline.cli import main; main()' experiments --json | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.stderr == ""


def test_a_package_that_does_not_fit_on_the_disk_is_named(yt8m, tmp_path):
    cluster = tmp_path / "cluster.yaml"
    cluster.write_text("cluster: {image: 'r/yt8m:1', pipeline_root: gs://a/runs, push_directory: gs://a/serving}")
    arguments = ("--data", "gs://a/b", "--experiment", "average-576", "--split", "id:80/10/10", "--out", "/dev/full")
    answer = yt8m("compile", "--cluster", cluster, *arguments)
    assert answer.code == 1 and re.search(
        "^error: no space was left on the disk; .* in /dev,", answer.err, re.MULTILINE
    )
