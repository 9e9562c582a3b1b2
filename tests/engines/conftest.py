"""An engine for each test file."""

import subprocess
from collections.abc import Callable, Iterator

import pytest
from local_engines import START, YT8M, Engine


@pytest.fixture(scope="module", params=START)
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    started = START[request.param](tmp_path_factory.mktemp(request.param))
    yield started
    started.close()


@pytest.fixture(scope="session")
def yt8m() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the command in a process of its own."""

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run([YT8M, *map(str, arguments)], capture_output=True, text=True)

    return run
