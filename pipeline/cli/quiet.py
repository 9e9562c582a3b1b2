"""Keeps the output of libraries off the console."""

import logging
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click

from models.errors import InputError
from pipeline.files.disk import describe_disk_error


@contextmanager
def stderr_to(log: Path) -> Iterator[None]:
    """Sends what libraries write to standard error into a file, from C++ too, so that the console stays readable.

    Except waits for an object store: a command that is silent for a minute seems to hang.

    Raises:
        InputError: the file cannot be written.
    """
    os.environ["TFX_ANALYTICS"] = "0"
    try:
        file = log.open("a")
    except OSError as error:
        raise InputError(f"{log}: {error.strerror}, expected a log to write") from None
    sys.stderr.flush()
    console = os.dup(2)
    with file:
        os.dup2(file.fileno(), 2)
        waits = logging.StreamHandler(os.fdopen(console, "w", closefd=False))
        logging.getLogger("components.object_stores").addHandler(waits)
        try:
            yield
        finally:
            logging.getLogger("components.object_stores").removeHandler(waits)
            with suppress(OSError):  # the log's disk is full
                sys.stderr.flush()
            os.dup2(console, 2)
            os.close(console)


@contextmanager
def failures_to(log: Path) -> Iterator[None]:
    """Turns an unexpected failure into one line: on the log's disk where that is the reason, else with the log's name.

    The log has the stack trace. Its last line is the reason of a failure.
    """
    try:
        yield
    except InputError as error:
        with suppress(OSError), log.open("a") as file:
            file.write(f"error: {error}\n")
        raise
    except Exception as error:
        with suppress(OSError):  # the log's disk is full
            traceback.print_exc()
        if trouble := describe_disk_error(error, log.parent):
            raise click.ClickException(trouble) from None
        line = next(iter(str(error).splitlines()), "")
        raise click.ClickException(f"{type(error).__name__}: {line} (details in {log})") from None
