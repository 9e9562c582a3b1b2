"""Progress of a download on standard error: a bar on a terminal, otherwise a line for each file."""

import time
from threading import Lock
from types import TracebackType

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pipeline.data.download.download import Listener


class ConsoleListener(Listener):
    """Shows files, bytes, their rate and the remaining time."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._progress = Progress(
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("files  {task.fields[volume]}"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
            transient=True,
        )
        self._bytes = self._done = self._files = 0
        self._started = time.monotonic()
        self._lock = Lock()
        self._task = self._progress.add_task("", total=None, volume="")

    def __enter__(self) -> "ConsoleListener":
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()

    def on_start(self, files: int) -> None:
        """Starts the clock."""
        self._files = files
        self._started = time.monotonic()
        self._progress.update(self._task, total=files)

    def on_bytes(self, count: int) -> None:
        """Updates the bytes and their rate since the start."""
        with self._lock:
            self._bytes += count
            rate = self._bytes / max(time.monotonic() - self._started, 1e-3)
            self._progress.update(self._task, volume=f"{decimal(self._bytes)} at {decimal(int(rate))}/s")

    def on_file(self, line: str) -> None:
        """Advances the bar; on a terminal, only failures are printed."""
        self._done += 1
        self._progress.update(self._task, completed=self._done)
        if not self._console.is_terminal or ": failed: " in line:
            self.on_retry(f"[{self._done}/{self._files}] {line}")

    def on_retry(self, line: str) -> None:
        """Prints the line, above the bar."""
        self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)
