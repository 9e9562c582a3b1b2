"""Help, lists and mistakes are answered before the libraries that take seconds to import are loaded."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from pipeline.cli import yt8m

SLOW = ("tensorflow", "tfx", "keras", "apache_beam", "kfp")

# In a fresh interpreter: exit code, output and slow libraries loaded so far, for one command after another.
PROGRAM = f"""
import io, json, sys
from contextlib import redirect_stderr, redirect_stdout
from pipeline.cli import main

answers = []
for command in json.load(sys.stdin):
    sys.argv, words, code = ["yt8m", *command], io.StringIO(), 0
    with redirect_stdout(words), redirect_stderr(words):
        try:
            main()
        except SystemExit as error:
            code = error.code
    answers.append([code, words.getvalue(), [name for name in {SLOW} if name in sys.modules]])
print(json.dumps(answers))
"""

MISTAKES = [
    ("run --data x --experiment nope", "error: experiment is 'nope', allowed:"),
    ("run --experiment netvlad-8", "Missing option '--data'"),
    ("run --data x --experiment netvlad-8 --sed 1", "No such option"),
    ("run --data x --experiment netvlad-8 --set training.rate=1", "training.rate is not a setting"),
    ("run --data x --experiment netvlad-8 --out file", "--out is 'file': File exists, expected a"),
    ("run --data x", "expected either --experiment or --table"),
    (
        "run --experiment netvlad-8 --data " + " ".join(f"/a/folder/{n:04}.tfrecord" for n in range(100)),
        "arguments (/a/folder/0001.tfrecord ... /a/folder/0099.tfrecord): put quotes around a pattern of files",
    ),
    ("tune nope --run x", "error: experiment is 'nope', allowed:"),
    (
        "tune netvlad-8 --run x --set data.split=y",
        "error: --set data.split is not a setting of a search, allowed: those",
    ),
    ("experiments --table 3", "error: --table is 3, allowed: 4, 5, "),
    ("experiments --json show netvlad-8", "options of `show` come after it"),
    ("experiments show nope", "error: experiment is 'nope', allowed:"),
    ("experiments --experiment-file no.yaml", "error: --experiment-file is 'no.yaml': No such file"),
    ("synth --level sound --videos 20 --labels 3 out", "is not one of 'video', 'frame'"),
    ("synth --level video --videos 20 --labels 1 out", "error: labels is 1, allowed are 2 to 100000"),
    ("download --level video --part train --shard 3/2 out", "error: --shard is '3/2', expected X/Y"),
    ("stats --data x --split half", "error: split is 'half', allowed: file:80/10/10"),
    ("run --data x --validation-data= --experiment netvlad-8", "error: --validation-data is empty, expected a folder"),
    ("run --data x --test-data= --experiment netvlad-8", "error: --test-data is empty, expected a folder"),
    (
        "run --data x --validation-data y --split thesis-frame --experiment netvlad-8",
        "error: data: split thesis-frame chooses the files of all splits: leave out the validation data, or use file:",
    ),
    ("report nowhere", "error: RUNS: 'nowhere': No such file or directory, expected a folder of runs"),
    ("predict x --data y --json", "--json needs --out: standard output holds the predictions"),
    ("compile --data x --experiment netvlad-8", "Missing option '--cluster'"),
    ("lint nowhere", "File 'nowhere' does not exist"),
    ("submit --data x --experiment netvlad-8 --interval -1", "-1.0 is not in the range x>=0"),
    ("schedule create x", "Missing option '--cron'"),
    ("status --last 0", "0 is not in the range"),
]


@pytest.fixture
def answers(tmp_path):
    """`(commands)` -> exit code, output and loaded slow libraries of each; one fresh interpreter runs all."""

    def ask(commands: list[list[str]]) -> list[tuple[int, str, list[str]]]:
        request = json.dumps(commands)
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM], input=request, cwd=tmp_path, stdout=subprocess.PIPE, text=True, check=True
        )
        return [tuple(answer) for answer in json.loads(done.stdout)]

    return ask


def paths(command: click.Command, *path: str) -> Iterator[list[str]]:
    """The words of a command and of all its subcommands."""
    yield [*path]
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            yield from paths(below, *path, name)


def test_the_help_of_every_command_loads_no_slow_library(answers):
    commands = [*paths(yt8m)]
    assert [] in commands and ["schedule", "create"] in commands
    for command, answer in zip(commands, answers([[*command, "--help"] for command in commands]), strict=True):
        code, words, loaded = answer
        assert (code, loaded) == (0, []), command
        assert words.startswith(" ".join(["Usage: yt8m", *command, "["])), command


def test_the_lists_of_experiments_load_no_slow_library(answers):
    commands = [["experiments"], ["experiments", "--json"], ["experiments", "show", "thesis-best"]]
    for command, (code, words, loaded) in zip(commands, answers(commands), strict=True):
        assert (code, loaded) == (0, []) and "netvlad" in words, command


def test_a_mistake_is_one_line_with_exit_code_2_and_loads_no_slow_library(answers, tmp_path):
    (tmp_path / "file").touch()
    commands = [command.split() for command, _ in MISTAKES]
    for (command, message), (code, words, loaded) in zip(MISTAKES, answers(commands), strict=True):
        assert (code, loaded) == (2, []), command
        assert message in words and "Traceback" not in words, command
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_missing_data_is_one_line_whatever_libraries_log_when_they_start(tmp_path):
    command = [Path(sys.executable).with_name("yt8m"), "run", "--data", "nowhere", "--experiment", "netvlad-8"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        f"error: data: no file matches '{tmp_path}/nowhere' (a folder of *.tfrecord files, a file or a glob)"
    ]
