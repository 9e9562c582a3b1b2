"""The command line and Beam's own job service, in this process: a new one takes half a second, with TensorFlow five."""

import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from pipeline.cli import main


@dataclass(frozen=True)
class Answer:
    """Output and exit code of a command."""

    code: int
    out: str
    err: str


@pytest.fixture
def yt8m(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """`(*arguments)` -> output and exit code of the command."""

    def call(*arguments: object) -> Answer:
        capfd.readouterr()
        code = 0
        with monkeypatch.context() as context:
            context.setattr(sys, "argv", ["yt8m", *map(str, arguments)])
            # A run of an earlier test may have left handlers that write to pytest's old replacement of stderr.
            context.setattr(logging, "raiseExceptions", False)
            try:
                main()
            except SystemExit as error:
                code = error.code
        return Answer(code, *capfd.readouterr())

    return call


@pytest.fixture(scope="session")
def job_service() -> Iterator[str]:
    """Endpoint of Beam's own job service, which runs jobs in this process."""
    from apache_beam.runners.portability.local_job_service import LocalJobServicer

    service = LocalJobServicer()
    yield f"localhost:{service.start_grpc_server()}"
    service.stop()
