"""Invalid, huge and hostile YAML in files and arguments is refused in one line, without delay."""

import json
import os
import re
from itertools import pairwise

import pytest

from pipeline.files.yaml_text import MAX_DEPTH, MAX_SIZE


def nested(first: str, level: str) -> str:
    """YAML in which each of nine lines expands to nine times the line before."""
    lines = (f"{below}: &{below} " + level % ", ".join([f"*{above}"] * 9) for above, below in pairwise("abcdefghij"))
    return f"a: &a {first}\n" + "\n".join(lines)


LAUGHS, MERGES = nested("[ha]", "[%s]"), nested("{k: 1}", "{<<: [%s]}")

BAD_VALUES = [
    ("[" * 100_000, "line 1: nested deeper than 50 levels"),
    ("{a: " * 3_000, "line 1: nested deeper than 50 levels"),
    ("- " * 100_000, "line 1: nested deeper than 50 levels"),
    ("&a [*a]", "line 1: *a is part of its own anchor"),
    ("&a {<<: *a}", "line 1: *a is part of its own anchor"),
    ("*a", "line 1: not YAML: found undefined alias"),
    ("9" * 5_000, "line 1: '9999"),
    ("0x" + "f" * 9_000, "line 1: '0xfff"),
    ("18446744073709551616", "line 1: 18446744073709551616 is a whole number beyond 64 bits"),
    ("1:0:0:0:0:0:0:0:0:0:0:0:0:0", "is a whole number beyond 64 bits"),
    ("!!int ''", "line 1: '' is not of type int"),
    ("a: 1:30", "line 1: 1:30 means 90 in YAML 1.1: write that, or quote it"),
    ("a: 010", "line 1: 010 means 8 in YAML 1.1: write that, or quote it"),
    ("!!bool x", "line 1: x is not of type bool"),
    ("!!timestamp 1", "line 1: 1 is not of type timestamp"),
    ("!!map [a]", "line 1: not YAML: expected a mapping node"),
    ("!" + "x" * 100_000, "line 1: not YAML: "),
    ("!<%1B%0A> b", "line 1: not YAML: "),
    ("{.nan: 1, .NaN: 2}", "line 1: not YAML: nan appears twice"),
    ("2026-99-99", "training.patience is '2026-99-99': input should be a valid integer"),
    ("\udcff", "not YAML: not UTF-8 text"),
    ("[1", "line 2: not YAML: "),
    ("a: 1\n--- \nb: 2", "not YAML: but found another document"),
]


@pytest.mark.parametrize(("value", "message"), BAD_VALUES, ids=range(len(BAD_VALUES)))
def test_a_value_of_set_is_refused_in_one_short_line(yt8m, value, message):
    answer = yt8m("run", "--data", "x", "--experiment", "netvlad-8", "--set", f"training.patience={value}")
    assert answer.code == 2 and message in answer.err
    assert answer.err.startswith("error: ") and answer.err.count("\n") == 1 and len(answer.err) < 400
    assert answer.err.rstrip("\n").isprintable()


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("a\nb", r"'a\nb' is not a setting"),
        ("\x1b[2J", r"'\x1b[2J' is not a setting"),
        ("seed\n.x", r"'seed\n' is not a setting"),
        ("x" * 5_000, "xxx... is not a setting"),
        ("a." * 5_000 + "b", "a is not a setting"),
        ("seed" + ".x" * 5_000, "seed is a dict too large to show: input should be a valid integer"),
        (".", "'' is not a setting"),
    ],
)
def test_a_key_of_set_is_shown_on_one_line(yt8m, key, message):
    answer = yt8m("run", "--data", "x", "--experiment", "netvlad-8", "--set", f"{key}=1")
    assert answer.code == 2 and message in answer.err
    assert answer.err.count("\n") == 1 and len(answer.err) < 400 and answer.err.rstrip("\n").isprintable()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[" * 100_000, "line 1: nested deeper than 50 levels"),
        (b"mine: {base: netvlad-8, training: {patience: " + b"9" * 5_000 + b"}}", "line 1: '9999"),
        (LAUGHS.encode(), "longer than 1 MiB with its aliases expanded"),
        (MERGES.encode(), "longer than 1 MiB with its aliases expanded"),
        (b"# " + b"x" * MAX_SIZE, "longer than 1 MiB, expected a YAML file"),
        (b"mine: {base: netvlad-8}\n&a x: {base: *a}\n? {}\n", "not YAML: found unhashable key"),
        (b'"\\e[2J": {base: netvlad-8}', r"'\x1b[2J': a name becomes the name of a folder"),
        (b'mine: {base: netvlad-8, "\\e\\n": 1}', r"'\x1b\n' is not a setting"),
        (b'mine: {base: netvlad-8, model: {"\\e\\n": 1}}', r"'model.\x1b\n' is not a setting"),
    ],
    ids=range(9),
)
def test_an_experiment_file_is_refused_in_one_short_line_that_names_it(yt8m, tmp_path, content, message):
    file = tmp_path / "mine.yaml"
    file.write_bytes(content)
    answer = yt8m("experiments", "show", "mine", "--experiment-file", file)
    assert answer.code == 2 and answer.err.startswith(f"error: {file}") and message in answer.err
    assert answer.err.count("\n") == 1 and len(answer.err) < 600 and answer.err.rstrip("\n").isprintable()


def test_what_is_not_a_file_is_refused_without_waiting(yt8m, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, reason in (
        (tmp_path / "pipe", "not a regular file"),
        ("/dev/zero", "not a regular file"),
        ("/", "Is a dir"),
    ):
        message = f"is '{path}': {reason}"
        options = ("--experiment", "netvlad-8", "--data", "gs://b/x")
        for option, *command in (
            ("--experiment-file", "experiments"),
            ("--cluster", "compile", *options, "--out", tmp_path / "package.yaml"),
        ):
            answer = yt8m(*command, option, path)
            assert answer.code == 2 and f"error: {option} {message}" in answer.err and answer.err.count("\n") == 1
    answer = yt8m("lint", tmp_path / "pipe")
    assert answer.code == 2 and "PACKAGE is" in answer.err and "not a regular file" in answer.err


@pytest.mark.parametrize("content", [b"[" * 100_000, b"a: " + b"9" * 5_000, b"\xff", LAUGHS.encode()], ids=range(4))
def test_a_file_that_is_not_a_package_is_one_line(yt8m, tmp_path, content):
    (tmp_path / "package.yaml").write_bytes(content)
    answer = yt8m("lint", tmp_path / "package.yaml")
    assert answer.code == 2 and "Traceback" not in answer.err and len(answer.err) < 600
    answer = yt8m("submit", "--package", tmp_path / "package.yaml", "--endpoint", "http://127.0.0.1:9")
    assert answer.code == 2 and answer.err.startswith("error: ") and answer.err.count("\n") == 1


def test_yaml_as_people_write_it_is_read(yt8m, tmp_path):
    file = tmp_path / "mine.yaml"
    deep = "[" * (MAX_DEPTH - 4) + "]" * (MAX_DEPTH - 4)
    file.write_bytes(
        "\ufeff# Übung\n"
        "first: &first {base: netvlad-8, training: &training {batch_size: 3}}\n"
        "2026-07-01: {<<: *first, level: frame}\n"
        "third: {<<: *first, training: {<<: *training, patience: 9}}\n".encode()
    )
    for name, key, value in (("2026-07-01", "batch_size", 3), ("third", "batch_size", 3), ("third", "patience", 9)):
        shown = json.loads(yt8m("experiments", "show", name, "--json", "--experiment-file", file).out)
        assert (shown["name"], shown["training"][key]) == (name, value)
    file.write_text(f"mine: {{base: netvlad-8, training: {{patience: {deep}}}}}")
    answer = yt8m("experiments", "--experiment-file", file)
    assert re.search(r"training\.patience is \[+\]+\.\.\.: input should be a valid integer", answer.err)
