"""Settings for Beam's own job service."""

from collections.abc import Callable

import pytest

from pipeline.beam_settings import BeamSettings


@pytest.fixture
def settings(job_service: str) -> Callable[..., BeamSettings]:
    """Builds settings for it, with further options."""

    def build(*options: str) -> BeamSettings:
        own = (f"--job_endpoint={job_service}", "--environment_type=beam:env:embedded_python:v1")
        return BeamSettings(runner="PortableRunner", options=(*own, *options))

    return build
