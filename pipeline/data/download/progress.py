"""How a download goes, on standard error: a bar on a terminal, a line a file elsewhere."""

import time
from threading import Lock
from types import TracebackType

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pipeline.data.download.download import Listener


class ConsoleListener(Listener):
    """Shows files, bytes, their rate and the time that is left."""

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
        self._begin = time.monotonic()
        self._lock = Lock()
        self._task = self._progress.add_task("", total=None, volume="")

    def __enter__(self) -> "ConsoleListener":
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()

    def begins(self, files: int) -> None:
        """Starts the clock."""
        self._files = files
        self._begin = time.monotonic()
        self._progress.update(self._task, total=files)

    def receives(self, count: int) -> None:
        """Shows the bytes and their rate since the beginning."""
        with self._lock:
            self._bytes += count
            rate = self._bytes / max(time.monotonic() - self._begin, 1e-3)
            self._progress.update(self._task, volume=f"{decimal(self._bytes)} at {decimal(int(rate))}/s")

    def ends(self, line: str) -> None:
        """Moves the bar; what failed is said there too."""
        self._done += 1
        self._progress.update(self._task, completed=self._done)
        if not self._console.is_terminal or ": failed: " in line:
            self.says(f"[{self._done}/{self._files}] {line}")

    def says(self, line: str) -> None:
        """Prints the line, above the bar."""
        self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)
