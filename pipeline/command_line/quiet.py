"""Keeps what libraries say off the console."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def stderr_to(log: Path) -> Iterator[None]:
    """Sends what libraries write to standard error into a file, from C++ too, so that the console stays readable."""
    os.environ["TFX_ANALYTICS"] = "0"
    sys.stderr.flush()
    console = os.dup(2)
    with log.open("a") as file:
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(console, 2)
            os.close(console)
