"""A line of the matrix, and commands that are stopped while they work."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Queue

import psutil

YT8M = (str(Path(sys.executable).with_name("yt8m")),)

SECONDS_TO_ACKNOWLEDGE, SECONDS_TO_END = 1.0, 3.0

# For events that must happen at some time, even on a busy machine.
LONG = 600.0

# Environment variable by which the processes of a case are found.
MARK = "YT8M_FAULT"

LEFTOVERS = (".writing-*", ".pushing-*", "writing", "*.partial", ".*.csv.*", ".writable", ".lock")


@dataclass
class Case:
    """A line of the matrix; `problems` is empty if all held."""

    name: str
    fault: str
    landed: str = ""
    acknowledged: float | None = None
    ended: float | None = None
    problems: list[str] = field(default_factory=list)

    def row(self) -> str:
        """As text."""
        seconds = [f"{value:.1f}" if value is not None else "" for value in (self.acknowledged, self.ended)]
        verdict = "held" if not self.problems else "FAILED: " + "; ".join(self.problems)
        return f"{self.name:28} {self.fault:16} {self.landed:20} {seconds[0]:>5} {seconds[1]:>5}  {verdict}"


class Command:
    """A running `yt8m`, with what it has printed."""

    def __init__(self, arguments: Sequence[str], folder: Path, environment: dict[str, str] | None = None) -> None:
        self.mark = uuid.uuid4().hex
        self.lines: list[str] = []
        self._new: Queue[str] = Queue()
        self._process = subprocess.Popen(
            (*YT8M, *arguments),
            cwd=folder,
            env={**os.environ, **(environment or {}), MARK: self.mark},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self.lines.append(line.rstrip())
            self._new.put(line)

    @property
    def pid(self) -> int:
        """Process id of the command itself."""
        return self._process.pid

    def works_for(self, seconds: float) -> bool:
        """Whether it still runs after some seconds."""
        time.sleep(seconds)
        return self._process.poll() is None

    def wait_for(self, words: str, seconds: float) -> bool:
        """Whether a line with these words is printed in time and before the process ends."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with contextlib.suppress(Empty):
                if words in self._new.get(timeout=0.02):
                    return True
            if self._process.poll() is not None and self._new.empty():
                return False
        return False

    def send(self, number: signal.Signals) -> None:
        """Sends SIGINT to the whole group, as Ctrl-C does, and other signals to the process alone."""
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if number is signal.SIGINT else os.kill)(self._process.pid, number)

    def end(self, seconds: float = LONG) -> int | None:
        """The exit code; None if the process does not end in time and is killed."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            for process in self.processes():
                process.kill()
            return None

    def processes(self) -> list[psutil.Process]:
        """Processes of the command that are still alive."""
        alive = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get(MARK) == self.mark and process.status() != psutil.STATUS_ZOMBIE:
                    alive.append(process)
        return alive


def stop(
    case: Case, command: Command, number: signal.Signals, started: Callable[[], bool], training: bool = False
) -> int | None:
    """Stops a command once it has started, and records its reaction; returns its exit code."""
    if not started():
        case.problems.append("ended before the fault")
        return command.end()
    case.landed = next((line.removesuffix(" ...") for line in reversed(command.lines) if line.endswith(" ...")), "")
    sent = time.monotonic()
    command.send(number)
    if number is not signal.SIGKILL:
        if not command.wait_for("stopping", LONG):
            case.problems.append("no acknowledgement")
        case.acknowledged = time.monotonic() - sent
        if case.acknowledged > SECONDS_TO_ACKNOWLEDGE:
            case.problems.append(f"acknowledged after {case.acknowledged:.1f} s")
    code = command.end()
    case.ended = time.monotonic() - sent
    training = training or any("with a checkpoint" in line for line in command.lines)
    if number is not signal.SIGKILL and case.ended > SECONDS_TO_END and not training:
        case.problems.append(f"ended after {case.ended:.1f} s")
    if code != (-number if number is signal.SIGKILL else 128 + number):
        case.problems.append(f"exit code {code}")
    time.sleep(1.5)  # children of a killed process notice its end within a second
    if left := command.processes():
        case.problems.append(f"{len(left)} processes left: {' '.join(left[0].cmdline())[:80]}")
    text = "\n".join(command.lines)
    if "Traceback" in text:
        case.problems.append("a stack trace")
    if number is not signal.SIGKILL and not any(line.startswith("stopped") for line in command.lines[-1:]):
        case.problems.append(f"the last line is {command.lines[-1:]}")
    return code


def again(case: Case, arguments: Sequence[str], folder: Path, out: Path) -> None:
    """Repeats the command, which must succeed and leave no leftovers."""
    command = Command(arguments, folder)
    if (code := command.end()) != 0:
        case.problems.append(f"again: exit code {code}, {command.lines[-1:]}")
    if leftovers := [str(path.relative_to(out)) for name in LEFTOVERS for path in out.rglob(name)]:
        case.problems.append(f"again: left {leftovers}")
