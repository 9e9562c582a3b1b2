"""The environment script reports in one line what it lacks, before it changes anything."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def checkout(tmp_path):
    """A folder with the script and a PATH that holds the basic tools and no Python."""
    shutil.copy(ROOT / "environment.sh", tmp_path)
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("bash", "dirname", "env", "rm", "sort", "head", "uname", "mktemp", "cat"):
        (tools / name).symlink_to(shutil.which(name))
    return tmp_path


def run(checkout):
    environment = {**os.environ, "PATH": str(checkout / "tools")}
    return subprocess.run([checkout / "environment.sh"], capture_output=True, text=True, env=environment)


def fake_python(checkout, libc, headers=True):
    """A stand-in for python3.11 that answers the script's questions about the host."""
    path = checkout / "tools" / "python3.11"
    path.write_text(f'#!/bin/bash\ncase "$*" in *confstr*) {libc};; *include*) echo {checkout};; esac; exit 0\n')
    path.chmod(0o755)
    if headers:
        (checkout / "Python.h").touch()


def test_a_missing_python_3_11_is_one_line_with_the_remedy(checkout):
    done = run(checkout)
    assert done.returncode == 1 and not (checkout / ".venv").exists()
    [line] = done.stderr.splitlines()
    assert line.startswith("setup: Python 3.11 with its venv module is needed") and "install it" in line


@pytest.mark.parametrize(
    ("libc", "message"),
    [("exit 1", "does not use glibc"), ("echo 2.17", "has glibc 2.17 and TFX needs 2.39 or newer; only x86-64 hosts")],
)
def test_an_unsupported_host_is_one_line(checkout, libc, message):
    fake_python(checkout, libc)
    done = run(checkout)
    assert done.returncode == 1 and not (checkout / ".venv").exists()
    [line] = done.stderr.splitlines()
    assert line.startswith("setup: this host ") and message in line and "container" in line


def test_a_python_without_headers_is_one_line_with_the_package_to_install(checkout):
    fake_python(checkout, "echo 2.41", headers=False)
    done = run(checkout)
    assert done.returncode == 1 and not (checkout / ".venv").exists()
    [line] = done.stderr.splitlines()
    assert line.startswith("setup: Python 3.11 has no headers here (Python.h)") and "python3.11-dev" in line
