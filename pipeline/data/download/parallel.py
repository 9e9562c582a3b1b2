"""Work that waits for the network, on several threads."""

import time
from collections.abc import Callable, Generator, Sequence
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# A thread that waits for a byte notices the stop only after it; its part is on disk, so nobody has to wait for it.
LAST_SECONDS = 1.0


def in_parallel(
    work: Callable[[Item], Result], items: Sequence[Item], workers: int, stop: Event
) -> Generator[tuple[Item, Result | BaseException], None, None]:
    """Does the work of every item; items start in order as threads become free.

    Args:
        work: called by the threads.
        items: arguments of `work`.
        workers: threads, at least 1.
        stop: no item starts once it is set. It is set if the caller closes the iterator early or a signal arrives:
            the threads then have a second to end, and the exit of the process does not wait for them.

    Yields:
        Each item with its result or the exception that its work raised, in order of completion.
    """
    waiting: SimpleQueue[Item] = SimpleQueue()
    done: SimpleQueue[tuple[Item, Result | BaseException]] = SimpleQueue()
    for item in items:
        waiting.put(item)

    def serve() -> None:
        while not stop.is_set():
            try:
                item = waiting.get_nowait()
            except Empty:
                return
            try:
                done.put((item, work(item)))
            except BaseException as error:
                done.put((item, error))

    threads = [Thread(target=serve, daemon=True) for _ in range(min(workers, len(items)))]
    try:
        for thread in threads:
            thread.start()
        for _ in items:
            yield done.get()
    except BaseException:
        stop.set()
        raise
    finally:
        end = time.monotonic() + LAST_SECONDS
        for thread in threads:
            if thread.ident is not None:
                thread.join(max(0.0, end - time.monotonic()))
