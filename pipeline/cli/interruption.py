"""Ctrl-C and SIGTERM: acknowledged at once, every process ended within seconds."""

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

from models.training.stopping import SIGNALS, StopRequest

# Python handles a signal when the main thread returns from C++, which may take minutes: the longest wait for it.
SECONDS_TO_UNWIND = 2.0

_NAMES = {signal.SIGINT: "Ctrl-C"}


class Interruption:
    """Reaction to a signal.

    Attributes:
        kept: what remains of the work, for the last line that is printed.
        signal: the first one received, None before.
    """

    def __init__(self) -> None:
        self.kept = "repeat the command to start over"
        self.signal: int | None = None
        self.acknowledged = threading.Event()
        self._console = os.dup(2)  # standard error may go to a log later
        self._lock = threading.Lock()

    def raise_exit(self, number: int, frame: FrameType | None = None) -> NoReturn:
        """The handler: unwinds the main thread.

        Raises:
            SystemExit: always.
        """
        self.signal = self.signal or number
        raise SystemExit(128 + number)

    def watch(self, signals: socket.socket) -> None:
        """Acknowledges signals, also while the main thread is busy; ends the process where that takes too long.

        Args:
            signals: receives each signal number, see `signal.set_wakeup_fd`; closed at the end.
        """
        while numbers := signals.recv(1):
            number = numbers[0]
            if number not in SIGNALS:
                continue
            if self.acknowledged.is_set():
                self.end()
            self.signal = number
            handler = signal.getsignal(number)
            if handler == self.raise_exit:
                self._print(f"{_name(number)}: stopping")
                timer = threading.Timer(SECONDS_TO_UNWIND, self.end)
                timer.daemon = True
                timer.start()
            elif isinstance(request := getattr(handler, "__self__", None), StopRequest):
                self._print(f"{_name(number)}: {request.reaction}; once more stops at once")
            self.acknowledged.set()

    def end(self) -> NoReturn:
        """Prints what is kept, and ends this process and its children."""
        with self._lock:
            assert self.signal is not None
            import psutil

            for child in psutil.Process().children(recursive=True):
                with suppress(psutil.Error):
                    child.kill()
            if os.isatty(self._console):
                self._print("\x1b[?25h", end="")  # a progress bar has hidden the cursor
            self._print(f"stopped by {_name(self.signal)}; {self.kept}")
            # Not sys.exit: threads of libraries could keep the process alive.
            os._exit(128 + self.signal)

    def close(self) -> None:
        """Closes the console; nothing is printed afterwards."""
        os.close(self._console)

    def _print(self, text: str, end: str = "\n") -> None:
        with suppress(OSError):  # the terminal is gone
            os.write(self._console, (text + end).encode())


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Ends the process in the block within seconds of a signal; trainings end after a step and a checkpoint."""
    interruption = Interruption()
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in before.items():
        if handler != signal.SIG_IGN:  # under nohup, and in a shell's background job
            signal.signal(number, interruption.raise_exit)
    wakeup = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    # A signal to a child whose handlers are not reset yet would count as one to this process.
    os.register_at_fork(
        before=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS),
        after_in_parent=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS),
        after_in_child=lambda: _default_signals(interruption),
    )
    watcher = threading.Thread(target=interruption.watch, args=(reader,), daemon=True)
    watcher.start()
    try:
        yield interruption
    except BaseException:
        if interruption.signal is not None:
            interruption.acknowledged.wait()
            interruption.end()
        raise
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)
        writer.close()
        watcher.join()
        reader.close()
        interruption.close()


def _default_signals(interruption: Interruption) -> None:
    """In a forked child: a signal ends it silently and does not wake its parent."""
    if signal.getsignal(signal.SIGTERM) == interruption.raise_exit:
        signal.set_wakeup_fd(-1)
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def _name(number: int) -> str:
    return _NAMES.get(signal.Signals(number), signal.Signals(number).name)
