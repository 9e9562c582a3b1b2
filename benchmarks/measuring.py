"""What the benchmarks share: processes that take turns, what a piece of work costs, tables and JSON."""

import argparse
import json
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

# Seconds between two looks at the memory: at 0.3 % of a core, short enough for a peak that lasts a few batches.
SAMPLING = 0.02

# Keeps TensorFlow's banners off the screen.
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3"}


@dataclass
class Usage:
    """What a piece of work cost this process: seconds of CPU (user and system) and of wall clock, peak memory in MB.

    Memory is anonymous (RssAnon): mapped files are the kernel's, which drops their pages when it needs the memory.
    """

    cpu: float = 0.0
    wall: float = 0.0
    memory: float = 0.0


@contextmanager
def measured() -> Iterator[Usage]:
    """Yields a Usage that is complete after the block."""
    usage, done = Usage(memory=anonymous_memory()), threading.Event()

    def sample() -> None:
        while not done.wait(SAMPLING):
            usage.memory = max(usage.memory, anonymous_memory())

    sampler = threading.Thread(target=sample)
    sampler.start()
    cpu, wall = time.process_time(), time.perf_counter()
    try:
        yield usage
        usage.cpu, usage.wall = time.process_time() - cpu, time.perf_counter() - wall
    finally:
        done.set()
        sampler.join()
    usage.memory = max(usage.memory, anonymous_memory())


def anonymous_memory() -> float:
    """MB of anonymous memory of this process that is resident now."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024
    raise OSError("/proc/self/status has no RssAnon: Linux 4.5 or later is needed")


class Worker:
    """A process that answers questions, so that several can take turns in one minute of the machine.

    Args:
        arguments: script and arguments; the script calls `answer`.
        environment: variables besides those of this process.
    """

    def __init__(self, arguments: Sequence[object], environment: Mapping[str, str] | None = None) -> None:
        self._command = [sys.executable, *map(str, arguments)]
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **QUIET, **(environment or {})},
        )

    def ask(self, question: str) -> Any:
        """The answer to a question.

        Raises:
            RuntimeError: the process ended; what it wrote to stderr says why.
        """
        assert self._process.stdin and self._process.stdout
        with suppress(BrokenPipeError):
            print(question, file=self._process.stdin, flush=True)
        for line in self._process.stdout:
            if line.startswith(_ANSWER):
                return json.loads(line.removeprefix(_ANSWER))
        raise RuntimeError(f"{' '.join(self._command)} ended with code {self._process.wait()}")

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.communicate()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


# Libraries print to stdout, too.
_ANSWER = "answer: "


def answer(answers: Mapping[str, Callable[[], Any]]) -> None:
    """Answers the questions that `Worker.ask` writes to this process, until there are no more."""
    for line in sys.stdin:
        print(_ANSWER + json.dumps(answers[line.strip()]()), flush=True)


def in_turns(workers: Mapping[str, Worker], question: str, rounds: int) -> dict[str, list[Any]]:
    """Asks all workers in each round, in alternating order; the answers of each worker, a round each."""
    answers: dict[str, list[Any]] = {name: [] for name in workers}
    for turn in range(rounds):
        for name in list(workers) if turn % 2 else reversed(list(workers)):
            answers[name].append(workers[name].ask(question))
    return answers


@dataclass(frozen=True)
class Spread:
    """The median of a figure over rounds, and its range."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """The spread of values, at least one."""
        return cls(median(values), min(values), max(values))

    def __format__(self, spec: str) -> str:
        return f"{self.median:{spec}} ({self.least:{spec}}-{self.most:{spec}})"


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table in Markdown."""
    return "\n".join(line(cells) for cells in (columns, ["---"] * len(columns), *rows))


def line(cells: Sequence[object]) -> str:
    """A line of a table."""
    return f"| {' | '.join(map(str, cells))} |"


def machine() -> dict[str, Any]:
    """The kind of machine: processor and number of cores that this process may use."""
    names = [line.partition(": ")[2] for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
    return {"processor": names[0] if names else platform.machine(), "cores": len(os.sched_getaffinity(0))}


def count(text: str) -> int:
    """A whole number above 0, for argparse."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r}, expected a whole number above 0")
    return value


def folder(text: str) -> Path:
    """A folder, which need not exist, for argparse."""
    path = Path(text)
    if path.exists() and not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is not a folder")
    return path


def write_json(file: Path, content: Any) -> None:
    """Writes JSON for people and programs."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content, indent=2) + "\n")
