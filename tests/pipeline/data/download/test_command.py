"""`yt8m download` for people and batch systems: mistakes, kills and output."""

import json
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

YT8M = Path(sys.executable).with_name("yt8m")
PATHS = {name: f"/2/video/train/{name}.tfrecord" for name in ("trainaa", "trainab", "trainac")}


def command(mirror, out, *options):
    required = ["--level", "video", "--part", "train", "--base-url", mirror.url]
    return [str(argument) for argument in (YT8M, "download", *required, *options, out)]


@pytest.fixture
def download(yt8m, mirror):
    """`(out, *options)` runs the command in this process."""
    return lambda out, *options: yt8m(*command(mirror, out, *options)[1:])


def wait_until(condition):
    end = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture
def held(mirror, tmp_path):
    """A download in another process: one file is complete, the two others wait for their second half."""
    mirror.publish(["aa", "ab", "ac"], size=400_000)
    for name in ("trainab", "trainac"):
        mirror.breaks(PATHS[name], mirror.stalls(200_000))
    # A shell that runs the tests in the background makes them and their children ignore SIGINT.
    with_default_signals = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(
        command(mirror, tmp_path / "out"), stderr=subprocess.PIPE, text=True, preexec_fn=with_default_signals
    )
    own = tmp_path / "out" / ".download"
    parts = [own / f"train000{number}.tfrecord.part" for number in (1, 2)]
    wait_until(lambda: all(part.exists() and part.stat().st_size == 200_000 for part in parts))
    wait_until(lambda: (own / "checked.jsonl").exists() and (tmp_path / "out" / "vocabulary.csv").exists())
    with process:
        yield process
        process.kill()


@pytest.fixture
def assert_goes_on(mirror, download, tmp_path):
    """Checks that the same command fetches only the missing halves."""

    def check():
        mirror.log.clear()
        answer = download(tmp_path / "out", "--json")
        assert answer.code == 0, answer.err
        fetched = sorted((r.path, r.begin, r.sent) for r in mirror.log if r.method == "GET" and "plans" not in r.path)
        assert fetched == [(PATHS[name], 200_000, 200_000) for name in ("trainab", "trainac")]
        written = {path.name: path.read_bytes() for path in (tmp_path / "out").glob("*.tfrecord")}
        shards = [mirror.files[path] for path in PATHS.values()]
        assert written == {f"train000{number}.tfrecord": shard for number, shard in enumerate(shards)}
        assert json.loads(answer.out)["bytes"] == 400_000

    return check


def test_a_killed_download_resumes(held, assert_goes_on):
    held.send_signal(signal.SIGKILL)
    assert held.wait() == -signal.SIGKILL
    assert_goes_on()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_download_ends_without_waiting_for_connections_and_resumes(held, assert_goes_on, number, code):
    held.send_signal(number)
    words = held.communicate()[1]
    assert held.returncode == code
    name = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}[number]
    kept = "downloaded files are kept: the same command resumes from them"
    assert words.splitlines()[-2:] == [f"{name}: stopping", f"stopped by {name}; {kept}"] and "Traceback" not in words
    assert "no byte in" not in words  # the message of a connection after 30 s of waiting
    assert_goes_on()


def test_the_summary_is_printed_as_text_and_as_json(mirror, download, tmp_path):
    mirror.publish(["aa", "ab", "ac"])
    answer = download(tmp_path / "out", "--shard", "1/1")
    assert answer.code == 0
    counts, rate = answer.out.split("; ")
    assert counts == f"4 files in {tmp_path}/out: 4 downloaded, 0 present, 0 failed"
    assert rate.startswith("0.1 MB in ")
    lines = answer.err.splitlines()
    assert {line.partition("] ")[2] for line in lines} == {
        *(f"train000{number}.tfrecord: downloaded" for number in range(3)),
        "vocabulary.csv: downloaded",
    }
    assert [line.partition(" ")[0] for line in lines] == ["[1/4]", "[2/4]", "[3/4]", "[4/4]"]
    again = json.loads(download(tmp_path / "out", "--json").out)
    assert again.pop("seconds") >= 0
    expected = {"out": f"{tmp_path}/out", "dataset": "2/video", "files": 4}
    assert again == {**expected, "downloaded": [], "present": 4, "failed": {}, "bytes": 0}


def test_failed_files_are_listed_with_exit_code_1(mirror, download, tmp_path):
    mirror.publish(["aa", "ab", "ac"])
    del mirror.files[PATHS["trainab"]]
    reason = f"{mirror.url}{PATHS['trainab']}: 404 Not Found"
    answer = download(tmp_path / "out")
    assert answer.code == 1
    assert answer.out.splitlines()[1:] == [f"failed: train0001.tfrecord: {reason}"]
    assert answer.err.splitlines()[-1] == "error: 1 of 4 files failed; repeat the command to retry"
    answer = download(tmp_path / "out", "--json")
    assert answer.code == 1
    summary = json.loads(answer.out)
    assert (summary["present"], summary["failed"]) == (3, {"train0001.tfrecord": reason})


def test_a_missing_plan_is_one_line_with_exit_code_1(mirror, download, tmp_path):
    answer = download(tmp_path / "out")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err == f"error: {mirror.url}/2/download_plans/video_train.json: 404 Not Found\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--shard", "3/2"], "error: --shard is '3/2', expected X/Y with 1 <= X <= Y, say 1/100"),
        (["--version", "3"], "error: --version is 3 with --level video --part train, allowed with it: "),
        (["--base-url", "ftp://x"], "error: --base-url is 'ftp://x', expected an address like https://"),
        (
            ["--base-url", "https://me:secret@mirror.example/"],
            "error: --base-url has an @, expected an address without",
        ),
        (["--base-url", "me:secret@mirror.example"], "error: --base-url has an @, expected an address without"),
        (["--base-url", "http://x/?key=secret"], "error: --base-url is 'http://x/?...', expected an address like"),
        (["--mirror", "mars"], "Error: Invalid value for '--mirror': 'mars' is not one of 'us', 'eu', 'asia'."),
        (["--mirror", "eu"], "Error: expected either --mirror or --base-url"),
        (["--workers", "0"], "Error: Invalid value for '--workers': 0 is not in the range 1<=x<=64."),
        (["--part", "dev"], "Error: Invalid value for '--part': 'dev' is not one of 'train', 'validate', 'test'."),
        ([], "error: OUT is 'file': Not a directory, expected a folder that may be written"),
    ],
)
def test_a_mistake_is_one_line_with_exit_code_2(mirror, download, tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    answer = download("file", *options)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.splitlines()[-1].startswith(message) and mirror.log == []
    assert "secret" not in answer.err


def test_help_names_the_option_for_a_private_mirror(yt8m):
    assert "--base-url URL" in yt8m("download", "--help").out


def test_downloading_imports_neither_tensorflow_nor_tfx():
    code = "import sys; import pipeline.data.download.download, pipeline.data.download.progress; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.split()
    assert "pipeline.data.download.client" in loaded
    assert not {"tensorflow", "tfx", "keras", "apache_beam", "numpy"} & set(loaded)
