"""The progress that a command prints."""

import logging
import sys

from components.readable_log import log_to_stderr


def show_progress(prefix: str = "  ") -> None:
    """Sends the log of trainings, searches and preparations to standard output, all other messages to standard error.

    Args:
        prefix: of each line.
    """
    log_to_stderr()
    progress = logging.StreamHandler(sys.stdout)
    progress.setFormatter(logging.Formatter(f"{prefix}%(message)s"))
    for name in ("models", "tuner", "components.example_gen", "pipeline.data.preparation", "pipeline.beam"):
        logging.getLogger(name).handlers = [progress]
