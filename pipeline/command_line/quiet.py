"""Keeps what libraries say off the console."""

import logging
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from models.errors import InputError


@contextmanager
def stderr_to(log: Path) -> Iterator[None]:
    """Sends what libraries write to standard error into a file, from C++ too, so that the console stays readable.

    But for what an object store is waited for: a command that says nothing for a minute seems to hang.
    """
    os.environ["TFX_ANALYTICS"] = "0"
    sys.stderr.flush()
    console = os.dup(2)
    with log.open("a") as file:
        os.dup2(file.fileno(), 2)
        waits = logging.StreamHandler(os.fdopen(console, "w", closefd=False))
        logging.getLogger("components.object_stores").addHandler(waits)
        try:
            yield
        finally:
            logging.getLogger("components.object_stores").removeHandler(waits)
            sys.stderr.flush()
            os.dup2(console, 2)
            os.close(console)


@contextmanager
def failures_to(log: Path) -> Iterator[None]:
    """Turns what is nobody's mistake into one line that names the log, where the stack trace is."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        traceback.print_exc()
        line = next(iter(str(error).splitlines()), "")
        raise click.ClickException(f"{type(error).__name__}: {line} (details in {log})") from None
