"""Whether a run has been trained on the newest span of the data: the rule of `--if-new-data`."""

import re
from collections.abc import Mapping
from typing import Any

from models.errors import InputError, quote
from pipeline.kubeflow.api.client import Connection
from pipeline.kubeflow.api.runs import is_under_way, list_runs, run_parameters

# Description of a run that `--if-new-data` started.
_DESCRIPTION = re.compile(r"span (?P<span>\d+) of (?P<pattern>.+)")


def find_newest_span(parameters: Mapping[str, Any]) -> int:
    """The number of the newest {SPAN} of the data.

    Args:
        parameters: parameters of the requested run; its data must be readable from this machine.

    Raises:
        InputError: the pattern has no {SPAN}, or the data cannot be read from this machine.
    """
    from components.example_gen.input_files import SPAN, find_files

    pattern = str(parameters.get("data", ""))
    if not SPAN.search(pattern):
        raise InputError(f"data is {quote(pattern)}: --if-new-data needs a pattern with {{SPAN}}")
    return find_files(pattern).span


def describe_new_data(
    connection: Connection, experiment_id: str, parameters: Mapping[str, Any], newest: int
) -> str | None:
    """Describes the newest span, unless a run of the same experiment was trained on it or is under way.

    Args:
        connection: connection to the API.
        experiment_id: id of the KFP experiment whose runs count.
        parameters: parameters of the requested run.
        newest: number of the newest span of its data.

    Returns:
        Span and pattern, as the description of the requested run: later calls recognize the run by it. None if there
        are no new data.

    Raises:
        ApiError: the API rejects the request, or cannot be reached.
    """
    pattern = parameters["data"]
    for run in list_runs(connection, experiment_id):
        match = _DESCRIPTION.fullmatch(run.description or "")
        if not match or run_parameters(run).get("experiment") != parameters.get("experiment"):
            continue
        same_data = match["pattern"] == pattern and int(match["span"]) >= newest
        if same_data and (run.state == "SUCCEEDED" or is_under_way(connection, run)):
            return None
    return f"span {newest} of {pattern}"
