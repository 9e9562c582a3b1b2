"""Lines of the Evaluator's log for programs: the only way to read a run's results through KFP's REST API."""

import json
import re
from collections.abc import Mapping
from typing import Any

# First word of a line: the scores of all test videos; everything that a comparison of runs needs.
SCORES, RESULT = "scores", "result"


def log_line(name: str, content: Mapping[str, Any]) -> str:
    """A line for the log."""
    return f"{name} {json.dumps(content)}"


def find_line(name: str, log: str) -> dict[str, Any]:
    """The content of the last such line of a log; empty if there is none."""
    for content in reversed(re.findall(rf"\b{name} (\{{.*\}})", log)):
        try:
            return dict(json.loads(content))
        except ValueError:  # a line of another pipeline
            continue
    return {}
