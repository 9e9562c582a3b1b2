"""A log for people: our own lines, and the warnings and errors of libraries."""

import logging
import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

# Packages whose progress is worth reading. Libraries log thousands of lines of theirs at the same level.
_OURS = frozenset({"models", "tuner", "components", "pipeline"})

# Warnings about what TFX and our settings do on purpose, by the library's logger: nobody can act on them.
_NO_WARNINGS = {
    "absl": re.compile(
        "ArtifactQuery.property_predicate is not supported"  # TFX asks ML Metadata, then asks it in another way
        "|Fallback to non-ZetaSQL contexts execution query"
        "|Using the in-place Transform since disable_statistics=True"
    ),
    "tensorflow": re.compile(
        r"From .* is deprecated and will be removed"  # TFMA's own calls
        "|SavedModel saved prior to TF 2.5 detected",  # which Keras 3 exported
        re.DOTALL,
    ),
}

# What TensorFlow's libraries write while they are loaded: how they were built, and which processor they found.
_BANNER = re.compile(
    rb"I\d{4} |\d{4}-\d\d-\d\d [\d:.]+: I |WARNING: All log messages before absl::|To enable the following"
)
_LOADED = b"loaded\n"


def log_to_stderr(form: str = logging.BASIC_FORMAT) -> None:
    """Sends the log to standard error.

    Args:
        form: of a line, as the logging module takes it.
    """
    logging.basicConfig(level=logging.INFO, format=form, force=True)
    logging.getLogger("tensorflow").handlers.clear()  # its own, which it has if it was imported before
    for handler in logging.getLogger().handlers:
        handler.addFilter(_is_worth_reading)


def _is_worth_reading(record: logging.LogRecord) -> bool:
    package = record.name.partition(".")[0]
    if record.levelno < logging.WARNING:
        return package in _OURS
    known = _NO_WARNINGS.get(package)
    return not (known and record.levelno == logging.WARNING and known.match(record.getMessage()))


def import_tensorflow() -> None:
    """Imports TensorFlow without its banners; its warnings and errors stay."""
    if "tensorflow" in sys.modules:
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")  # holds once the libraries are loaded
    with _banners_left_out():
        import tensorflow  # noqa: F401


@contextmanager
def _banners_left_out() -> Iterator[None]:
    """Passes standard error on through a process of its own, which outlives a crash of this one."""
    reader, writer = os.pipe()
    stderr = os.dup(2)
    sys.stderr.flush()
    if (process := os.fork()) == 0:
        try:
            os.close(writer)
            _pass_on(reader, stderr)
        finally:
            os._exit(0)
    os.close(reader)
    os.dup2(writer, 2)
    try:
        yield
    finally:
        with suppress(OSError):
            sys.stderr.flush()
            os.write(writer, _LOADED)
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(writer)
        os.waitpid(process, 0)


def _pass_on(reader: int, stderr: int) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):  # it ends with the process that writes
        signal.signal(number, signal.SIG_IGN)
    with os.fdopen(reader, "rb") as lines:
        for line in lines:
            if line == _LOADED:
                return
            if not _BANNER.match(line):
                with suppress(OSError):  # the log's disk is full
                    os.write(stderr, line)
