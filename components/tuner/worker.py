"""A worker of a search on this machine: `python -m components.tuner.worker`, started by workers.py."""

import os
import sys
import threading

from components.progress import show_progress
from components.readable_log import import_tensorflow


def main() -> None:
    """Reads its task from standard input and runs trials; ends at once when the process that started it has ended."""
    import_tensorflow()
    from tfx.components.tuner import executor
    from tfx.utils import json_utils

    task = json_utils.loads(sys.stdin.buffer.readline().decode())
    threading.Thread(target=_exit_with_chief, daemon=True).start()
    show_progress(f"  {os.environ['KERASTUNER_TUNER_ID']}: ")
    executor.search(task["inputs"], task["properties"], working_dir=None, print_tuning_summary=False)


def _exit_with_chief() -> None:
    # Otherwise it would train on beside the worker that resumes the same trial when the search is started again.
    while os.read(sys.stdin.fileno(), 1):  # not sys.stdin.read(): Python aborts if the buffer's lock is held at exit
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
