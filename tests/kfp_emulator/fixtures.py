"""Fixtures for tests of the emulator and of a pipeline; a conftest.py imports those that it needs."""

from collections.abc import Iterator

import pytest

from kfp_emulator.api.server import ApiServer
from kfp_emulator.pods import pod


@pytest.fixture(scope="session")
def pods_allowed() -> None:
    if not pod.allowed():
        pytest.skip("steps need mount namespaces: run as root, or allow user namespaces")


@pytest.fixture
def api_server() -> Iterator[ApiServer]:
    with ApiServer() as server:
        yield server
