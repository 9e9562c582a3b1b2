"""What the tests of the emulator share with those of a pipeline; a conftest.py imports what it needs."""

from collections.abc import Iterator

import pytest

from kfp_emulator.api.server import ApiServer
from kfp_emulator.pods import pod


@pytest.fixture(scope="session")
def pods_allowed() -> None:
    if not pod.allowed():
        pytest.skip("steps need mount namespaces: root, or user namespaces for everyone")


@pytest.fixture
def api_server() -> Iterator[ApiServer]:
    with ApiServer() as server:
        yield server
