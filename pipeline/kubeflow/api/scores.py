"""Scores of runs, which outlive pods in the object store alone."""

import json
import math
from dataclasses import dataclass
from typing import Any

from models.errors import InputError
from models.metrics.video_metrics import ALL_SCORES as SCORE_NAMES
from pipeline.kubeflow.api.client import Connection
from pipeline.kubeflow.api.errors import ApiError
from pipeline.kubeflow.api.logs import read_log, read_object
from pipeline.kubeflow.api.workflow import Workflow
from pipeline.kubeflow.log_lines import RESULT, SCORES, find_line
from pipeline.steps import Step

# The Evaluator's verdict, in its folder of the object store.
_VERDICT = "evaluation/verdict.json"


@dataclass(frozen=True)
class Scores:
    """Scores of all test videos by name.

    Attributes:
        values: empty if there are none.
        source: where they are from, or why there are none; empty before the Evaluator has succeeded.
    """

    values: dict[str, float]
    source: str = ""


def read_scores(connection: Connection, workflow: Workflow) -> Scores:
    """Scores of a run: of the object store, if the UI's address is known, else of the Evaluator's log.

    KFP 2.17 has no API for artifacts, and a client has no credentials for the store: the UI's server has both.
    """
    step = next((step for step in workflow.steps if step.name == Step.EVALUATOR and step.state == "SUCCEEDED"), None)
    if step is None:
        return Scores({})
    failures = []
    if connection.ui and step.folder:
        try:
            return Scores(_of_verdict(read_object(connection, workflow, f"{step.folder}/{_VERDICT}")), "object store")
        except ApiError as error:
            failures.append(str(error))
        except (ValueError, TypeError, LookupError):
            failures.append(f"{_VERDICT} in the object store is no verdict")
    try:
        if values := _finite(find_line(SCORES, read_log(connection, workflow, step))):
            return Scores(values, "log of the Evaluator")
        failures.append("the log of the Evaluator has no scores")
    except InputError as error:  # ApiError too
        failures.append(str(error))
    if not connection.ui:
        failures.append("with the UI's address they are read from the object store")
    return Scores({}, "; ".join(failures))


def read_result(connection: Connection, workflow: Workflow) -> tuple[dict[str, Any], str]:
    """All that a comparison of runs needs, from the Evaluator's log.

    Returns:
        The result, and why there is none.

    Raises:
        ApiError: the API cannot be reached.
    """
    step = next((step for step in workflow.steps if step.name == Step.EVALUATOR), None)
    if step is None:
        return {}, workflow.no_steps or "has no Evaluator"
    if step.cached:  # another run has this result
        return {}, "has no log of its Evaluator: it was cached"
    try:
        result = find_line(RESULT, read_log(connection, workflow, step))
    except ApiError as error:
        if error.status == 0:  # no response
            raise
        hint = "" if connection.ui else ": with the UI's address, its copy in the object store is read"
        return {}, f"has no log of its Evaluator (any more){hint}"
    except InputError as error:
        return {}, str(error)
    return result, "" if result else "has no result in the log of its Evaluator"


def _of_verdict(text: str) -> dict[str, float]:
    return _finite(json.loads(text)["slices"][0]["scores"])


def _finite(scores: dict[str, Any]) -> dict[str, float]:
    """The scores that we know and that are numbers: another pipeline may have a step of that name."""
    values = {name: scores[name] for name in SCORE_NAMES if isinstance(scores.get(name), int | float)}
    return {name: float(value) for name, value in values.items() if math.isfinite(value)}
