"""Signals that end a training only after its work is saved."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

# From Ctrl-C, from batch systems and Kubernetes, and from a closed terminal.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequest:
    """True once a signal was received; `yt8m` ends at once after a second Ctrl-C.

    Args:
        reaction: what follows a signal, in words.
    """

    def __init__(self, reaction: str) -> None:
        self.reaction = reaction
        self._signal: int | None = None

    def __bool__(self) -> bool:
        return self._signal is not None

    def receive(self, number: int, frame: FrameType | None = None) -> None:
        """Handles a signal."""
        self._signal = number

    def exit(self) -> None:
        """Ends the process with the exit code of the signal.

        Raises:
            SystemExit: 128 + the signal's number, such as 130 or 143.
        """
        assert self._signal is not None
        raise SystemExit(128 + self._signal)


@contextlib.contextmanager
def deferred_signals(reaction: str = "stopping after this step, with a checkpoint") -> Iterator[StopRequest]:
    """Defers signals during the block; the process ends after the block, or in it at the request's `exit`.

    Args:
        reaction: what `yt8m` prints when it receives a signal.
    """
    request = StopRequest(reaction)
    if threading.current_thread() is not threading.main_thread():  # Python allows handlers in the main thread only
        yield request
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in before.items():
        if handler != signal.SIG_IGN:  # as for Ctrl-C in a shell's background job
            signal.signal(number, request.receive)
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)
    if request:
        request.exit()
