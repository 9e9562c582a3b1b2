"""Signals that end a training where nothing is lost."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

# Of Ctrl-C, of what batch systems and Kubernetes send, and of a terminal that is closed.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequest:
    """Whether a signal has come; a second one of Ctrl-C is not waited for by `yt8m`."""

    def __init__(self) -> None:
        self._signal: int | None = None

    def __bool__(self) -> bool:
        return self._signal is not None

    def receive(self, number: int, frame: FrameType | None = None) -> None:
        """A signal's handler."""
        self._signal = number

    def leave(self) -> None:
        """Ends the process as the signal would have.

        Raises:
            SystemExit: with 130 or 143, as shells number them.
        """
        assert self._signal is not None
        raise SystemExit(128 + self._signal)


@contextlib.contextmanager
def deferred_signals() -> Iterator[StopRequest]:
    """Keeps Ctrl-C and SIGTERM for the block to ask for; the process ends after the block where that never asked."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():  # Python allows handlers in the main thread only
        yield request
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in before.items():
        if handler != signal.SIG_IGN:  # a shell's background job has no Ctrl-C
            signal.signal(number, request.receive)
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)
    if request:
        request.leave()
