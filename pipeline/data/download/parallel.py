"""Work that waits for the network, on several threads."""

import time
from collections.abc import Callable, Generator, Sequence
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# A thread that waits for a byte hears of the end only then; its part is on disk, so that it need not be waited for.
LAST_SECONDS = 1.0


def in_parallel(
    work: Callable[[Item], Result], items: Sequence[Item], workers: int, stop: Event
) -> Generator[tuple[Item, Result | BaseException], None, None]:
    """Does the work of every item, in their order as far as threads are free.

    Args:
        work: called by the threads.
        items: what for.
        workers: threads, at least 1.
        stop: no item is begun once it is set. It is set if the caller closes the iterator early or a signal arrives:
            the threads then have a second to end, and nothing waits for them when the process ends.

    Yields:
        Each item with its result or the exception that its work raised, as they come.
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
