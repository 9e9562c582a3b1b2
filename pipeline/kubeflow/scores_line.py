"""The line of the Evaluator's log that says its scores: the only way to them through KFP's REST API."""

import json
import re
from collections.abc import Mapping

_LINE = re.compile(r"scores (\{.*\})")


def scores_line(scores: Mapping[str, float]) -> str:
    """The line."""
    return f"scores {json.dumps(scores)}"


def find_scores(log: str) -> dict[str, float]:
    """The scores of the last such line of a log; none if there is none."""
    found = _LINE.findall(log)
    return json.loads(found[-1]) if found else {}
