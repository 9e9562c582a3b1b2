"""The command line, called in this process: a new process takes half a second, with TensorFlow five."""

import logging
import sys
from collections.abc import Callable
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
