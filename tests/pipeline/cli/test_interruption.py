"""Signals end a command within seconds, whatever its main thread does, with a line on what is kept."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

# Deadlines are for hangs only: the tests assert output and exit codes.
LONG = 120

PROGRAM = """
import multiprocessing, os, signal, sys, time
from pipeline.cli.interruption import interruptible

def wait():
    print("begun", flush=True)
    time.sleep(600)

def child():
    time.sleep(600)

with interruptible() as interruption:
    interruption.kept = "nothing is lost"
    {body}
"""


@contextmanager
def begun(body: str, **options: object) -> Iterator[subprocess.Popen[str]]:
    """Starts a process with the body; returns once it has printed a line."""
    process = subprocess.Popen(
        (sys.executable, "-c", PROGRAM.format(body=body.replace("\n", "\n    "))),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,  # type: ignore[call-overload]
    )
    try:
        assert process.stdout and process.stdout.readline()
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("number", "name", "code"),
    [(signal.SIGINT, "Ctrl-C", 130), (signal.SIGTERM, "SIGTERM", 143), (signal.SIGHUP, "SIGHUP", 129)],
)
def test_a_signal_is_acknowledged_and_the_last_line_reports_what_is_kept(number: int, name: str, code: int) -> None:
    with begun("wait()") as process:
        process.send_signal(number)
        _, words = process.communicate(timeout=LONG)
    assert words.splitlines() == [f"{name}: stopping", f"stopped by {name}; nothing is lost"]
    assert process.returncode == code


def test_code_that_catches_the_exit_is_ended_too() -> None:
    body = "while True:\n    try:\n        wait()\n    except BaseException:\n        pass"
    with begun(body) as process:
        process.send_signal(signal.SIGTERM)
        _, words = process.communicate(timeout=LONG)
    assert words.splitlines()[-1] == "stopped by SIGTERM; nothing is lost" and process.returncode == 143


def test_the_block_is_unwound() -> None:
    with begun("try:\n    wait()\nfinally:\n    print('unwound', flush=True)") as process:
        process.send_signal(signal.SIGTERM)
        printed, _ = process.communicate(timeout=LONG)
    assert printed == "unwound\n"


def test_child_processes_end_too() -> None:
    body = "p = multiprocessing.get_context('fork').Process(target=child)\np.start()\nwait()"
    with begun(body) as process:
        [child] = psutil.Process(process.pid).children()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=LONG)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_a_signal_to_a_forked_child_ends_only_the_child() -> None:
    body = "p = multiprocessing.get_context('fork').Process(target=child)\np.start()\nwait()"
    with begun(body) as process:
        [child] = psutil.Process(process.pid).children()
        child.send_signal(signal.SIGTERM)
        while child.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
        time.sleep(0.2)
        assert process.poll() is None


def test_a_job_that_ignores_a_signal_keeps_ignoring_it() -> None:
    with begun("wait()", preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)) as process:
        process.send_signal(signal.SIGHUP)
        time.sleep(0.2)
        assert process.poll() is None


def test_a_training_ends_after_its_step_and_a_second_signal_ends_it_at_once() -> None:
    body = (
        "from models.training.stopping import deferred_signals\nwith deferred_signals() as stop:\n"
        "    print('begun', flush=True)\n    while not stop:\n        time.sleep(0.01)\n"
        "    print('asked', flush=True)\n    time.sleep(600)"
    )
    with begun(body) as process:
        process.send_signal(signal.SIGINT)
        assert process.stdout and process.stdout.readline() == "asked\n"
        process.send_signal(signal.SIGINT)
        _, words = process.communicate(timeout=LONG)
    assert words.splitlines() == [
        "Ctrl-C: stopping after this step, with a checkpoint; once more stops at once",
        "stopped by Ctrl-C; nothing is lost",
    ]
    assert process.returncode == 130


def test_handlers_are_as_before_after_the_block() -> None:
    from pipeline.cli.interruption import interruptible

    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with interruptible():
        assert signal.getsignal(signal.SIGTERM) not in before
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before
