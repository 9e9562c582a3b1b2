"""Beam's own job service, which runs jobs in this process."""

from collections.abc import Callable, Iterator

import pytest
from apache_beam.runners.portability.local_job_service import LocalJobServicer

from pipeline.beam_settings import BeamSettings


@pytest.fixture(scope="session")
def job_service() -> Iterator[str]:
    """Its endpoint."""
    service = LocalJobServicer()
    yield f"localhost:{service.start_grpc_server()}"
    service.stop()


@pytest.fixture
def settings(job_service: str) -> Callable[..., BeamSettings]:
    """Builds settings for it, with further options."""

    def build(*options: str) -> BeamSettings:
        own = (f"--job_endpoint={job_service}", "--environment_type=beam:env:embedded_python:v1")
        return BeamSettings(runner="PortableRunner", options=(*own, *options))

    return build
