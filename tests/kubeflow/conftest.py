"""The cluster without a cluster: see emulator.py, local.py and api_server.py."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml
from kfp import compiler, dsl

sys.path.insert(0, str(Path(__file__).parent))  # tests are no package

import pods
from api_server import ApiServer
from commands import Yt8m
from emulator import Emulator

from pipeline.command_line import main
from pipeline.kubeflow import client
from pipeline.kubeflow.client import ENDPOINT, TOKEN, TOKEN_FILE, UI_ENDPOINT


@pytest.fixture(scope="session")
def pods_allowed() -> None:
    if not pods.allowed():
        pytest.skip("steps need mount namespaces: root, or user namespaces for everyone")


@pytest.fixture
def emulator(pods_allowed: None, tmp_path: Path) -> Iterator[Callable[..., Emulator]]:
    """Builds an Emulator with the arguments given, in a folder of its own; ended with the test."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(Emulator(tmp_path / "cluster", **options))


@pytest.fixture
def api_server() -> Iterator[ApiServer]:
    with ApiServer() as server:
        yield server


@pytest.fixture
def yt8m(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Yt8m:
    """Runs a command where there is no cluster; gives its exit code and what it wrote."""
    for name in (ENDPOINT, UI_ENDPOINT, TOKEN, TOKEN_FILE, "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(client, "PAUSE_SECONDS", 0)

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["yt8m", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = ended.code
        written = capsys.readouterr()
        assert "Traceback" not in written.err
        return code, written.out, written.err

    return run


@pytest.fixture
def kfp(yt8m: Yt8m, api_server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> Yt8m:
    """The same, with the server as endpoint."""
    monkeypatch.setenv(ENDPOINT, api_server.url)
    return yt8m


@pytest.fixture
def compiled(tmp_path: Path) -> Callable[..., Path]:
    """Compiles a function that calls components; `change` edits the pipeline spec as by hand."""

    def build(pipeline: Callable[..., None], change: Callable[[dict], None] | None = None) -> Path:
        path = tmp_path / "package.yaml"
        compiler.Compiler().compile(dsl.pipeline(name="small")(pipeline), str(path))
        if change:
            documents = list(yaml.safe_load_all(path.read_text()))
            change(documents[0])
            path.write_text(yaml.safe_dump_all(documents))
        return path

    return build
