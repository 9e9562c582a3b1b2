"""What a person sees of a run while it runs."""

import logging
import sys


def show_progress(prefix: str = "  ") -> None:
    """Sends what trainings, searches and preparations log to standard output, all other messages to standard error.

    Args:
        prefix: of each line.
    """
    logging.basicConfig(level=logging.INFO, force=True)
    progress = logging.StreamHandler(sys.stdout)
    progress.setFormatter(logging.Formatter(f"{prefix}%(message)s"))
    for ours in ("models", "tuner", "components.example_gen", "pipeline.data.preparation"):
        logging.getLogger(ours).handlers = [progress]
