"""Lines of the Evaluator's log that programs read: the only way to a run's results through KFP's REST API."""

import json
import re
from collections.abc import Mapping
from typing import Any

# What such a line begins with: the scores of all test videos; all that a comparison of runs needs.
SCORES, RESULT = "scores", "result"


def log_line(name: str, content: Mapping[str, Any]) -> str:
    """One line."""
    return f"{name} {json.dumps(content)}"


def find_line(name: str, log: str) -> dict[str, Any]:
    """What the last such line of a log says; nothing if there is none."""
    found = re.findall(rf"\b{name} (\{{.*\}})", log)
    return json.loads(found[-1]) if found else {}
