"""What a person sees while models are trained."""

import logging
import sys


def show_progress(prefix: str = "  ") -> None:
    """Sends what trainings and searches log to standard output, all other messages to standard error.

    Args:
        prefix: of each line.
    """
    logging.basicConfig(level=logging.INFO, force=True)
    progress = logging.StreamHandler(sys.stdout)
    progress.setFormatter(logging.Formatter(f"{prefix}%(message)s"))
    for ours in ("models", "tuner"):
        logging.getLogger(ours).handlers = [progress]
