"""`yt8m` as a user runs it, against a server with the API of Kubeflow Pipelines."""

import json
import sys
from pathlib import Path

import pytest

from pipeline.cli import main
from pipeline.kubeflow.api import client, logs
from pipeline.kubeflow.api.client import ENDPOINT, UI_ENDPOINT
from pipeline.kubeflow.api.credentials import TOKEN, TOKEN_FILE
from pipeline.kubeflow.log_lines import SCORES, log_line


@pytest.fixture
def yt8m(monkeypatch, capsys, tmp_path):
    """Runs a command without a cluster; returns its exit code, standard output and standard error."""
    for name in (ENDPOINT, UI_ENDPOINT, TOKEN, TOKEN_FILE, "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(client, "PAUSE_SECONDS", 0)
    monkeypatch.setattr(logs, "CONFIRM_SECONDS", 0)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["yt8m", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code
        output = capsys.readouterr()
        assert "Traceback" not in output.err
        return code, output.out, output.err

    return run


@pytest.fixture
def kfp(yt8m, api_server, monkeypatch):
    """Runs a command with the server as endpoint."""
    monkeypatch.setenv(ENDPOINT, api_server.url)
    return yt8m


@pytest.fixture(scope="session")
def package():
    """A compiled package."""
    return Path(__file__).parents[1] / "netvlad-8.yaml"


@pytest.fixture
def submit(kfp, package):
    """Submits the package; returns the output of `--json`."""

    def run(*arguments):
        code, out, err = kfp("submit", "--package", package, "--json", *arguments)
        assert code == 0, err
        return json.loads(out)

    return run


@pytest.fixture
def evaluated(submit, api_server):
    """Id of a run whose Evaluator logged its scores in its second attempt."""
    run = submit()["run_id"]
    api_server.advance(run, "RUNNING", {"Trainer": "SUCCEEDED"})
    *_, pod = api_server.advance(run, "RUNNING", {"Evaluator": "SUCCEEDED"}, retries=1)
    api_server.logs[pod] = f"INFO x: {log_line(SCORES, {'f1': 0.75, 'gap': 0.8})}\ndone\n"
    return run


@pytest.fixture
def open_browser(monkeypatch):
    """The addresses that were opened in a browser."""
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    return opened
