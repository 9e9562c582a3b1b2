"""Ctrl-C and SIGTERM: acknowledged at once, obeyed within seconds, and no process left behind."""

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

from models.training.stopping import SIGNALS

# Python handles a signal when the main thread comes back from C++, which may take minutes. So long is waited for it.
SECONDS_TO_UNWIND = 2.0

_NAMES = {signal.SIGINT: "Ctrl-C"}


class Interruption:
    """What to do when a signal comes.

    Attributes:
        kept: what the last line says of the work that was begun.
        signal: the first that came, None before.
    """

    def __init__(self) -> None:
        self.kept = "the same command begins anew"
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
            signals: gets each number, see `signal.set_wakeup_fd`; closed when there is nothing to watch any more.
        """
        while numbers := signals.recv(1):
            number = numbers[0]
            if number not in SIGNALS:
                continue
            if self.acknowledged.is_set():
                self.end()
            self.signal = number
            if signal.getsignal(number) == self.raise_exit:
                self._say(f"{_name(number)}: stopping")
                timer = threading.Timer(SECONDS_TO_UNWIND, self.end)
                timer.daemon = True
                timer.start()
            else:  # a training has put its own in place
                self._say(f"{_name(number)}: stopping after this step, with a checkpoint; once more stops at once")
            self.acknowledged.set()

    def end(self) -> NoReturn:
        """Says what is kept and ends this process and those that it has started."""
        with self._lock:
            assert self.signal is not None
            import psutil

            for child in psutil.Process().children(recursive=True):
                with suppress(psutil.Error):
                    child.kill()
            if os.isatty(self._console):
                self._say("\x1b[?25h", end="")  # a progress bar has hidden the cursor
            self._say(f"stopped by {_name(self.signal)}; {self.kept}")
            # Not sys.exit: threads that libraries have left could keep the process.
            os._exit(128 + self.signal)

    def close(self) -> None:
        """Gives up the console, once nothing more is to be said."""
        os.close(self._console)

    def _say(self, text: str, end: str = "\n") -> None:
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
        if handler != signal.SIG_IGN:  # of nohup, and of a shell's background job
            signal.signal(number, interruption.raise_exit)
    wakeup = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    # A signal that reached a child before its handlers are reset would be taken for one to this process.
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
    """In a forked child: a signal ends it without a word, and doesn't wake the process that it was forked from."""
    if signal.getsignal(signal.SIGTERM) == interruption.raise_exit:
        signal.set_wakeup_fd(-1)
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def _name(number: int) -> str:
    return _NAMES.get(signal.Signals(number), signal.Signals(number).name)
