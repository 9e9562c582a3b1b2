"""What tests of `yt8m submit` and its like share: a package, and how a command is called."""

import json
from collections.abc import Callable
from pathlib import Path

from api_server import ApiServer

from pipeline.kubeflow.log_lines import SCORES, log_line

PACKAGE = Path(__file__).parents[1] / "pipeline" / "kubeflow" / "netvlad-8.yaml"

# Gives the exit code of a command, and what it wrote to standard output and standard error.
Yt8m = Callable[..., tuple[int, str, str]]


def submitted(answer: tuple[int, str, str]) -> dict:
    """What `submit --json` printed."""
    code, out, err = answer
    assert code == 0, err
    return json.loads(out)


def evaluated(kfp: Yt8m, api_server: ApiServer) -> str:
    """A run whose Evaluator was tried twice and said its scores."""
    run = submitted(kfp("submit", "--package", PACKAGE, "--json"))["run_id"]
    api_server.advance(run, "RUNNING", {"Trainer": "SUCCEEDED"})
    nodes = api_server.advance(run, "RUNNING", {"Evaluator": "SUCCEEDED"}, retries=1)["run_details"]["task_details"]
    api_server.logs[nodes[-1]["pod_name"]] = f"INFO x: {log_line(SCORES, {'f1': 0.75, 'gap': 0.8})}\ndone\n"
    return run


def changes(api_server: ApiServer) -> list[str]:
    """Paths of the requests that were to change something."""
    return [request.path for request in api_server.requests if request.method != "GET"]


def writes_of(api_server: ApiServer, act: Callable[[], object]) -> list[str]:
    """Those that an act made."""
    before = len(changes(api_server))
    act()
    return changes(api_server)[before:]
