"""A folder is locked by one process at a time, until that process ends, whatever ends it."""

import errno
import os
import signal
import subprocess
import sys

import pytest

from models.errors import InputError
from pipeline.files import locks
from pipeline.files.locks import LOCK, locked

HOLD = """
import sys, time
from pathlib import Path
from pipeline.files.locks import locked
with locked(Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(600)
"""


def test_another_process_is_refused_until_the_first_ends_and_the_error_names_it(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "locked\n"
        words = rf"{tmp_path} is in use by process {holder.pid} on .*: wait for it"
        with pytest.raises(InputError, match=words), locked(tmp_path):
            pass
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.communicate()
    with locked(tmp_path):
        assert (tmp_path / LOCK).exists()
    assert not (tmp_path / LOCK).exists()


def test_a_file_system_without_locks_locks_nobody_out(tmp_path, monkeypatch):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(locks.fcntl, "lockf", no_locks)
    with locked(tmp_path), locked(tmp_path):
        assert (tmp_path / LOCK).exists()


def test_a_missing_folder_is_reported(tmp_path):
    with pytest.raises(InputError, match=f"{tmp_path}/gone: No such file or directory"), locked(tmp_path / "gone"):
        pass
