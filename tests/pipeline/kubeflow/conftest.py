"""A cluster as small as it can be."""

from collections.abc import Callable
from typing import Any

import pytest

from pipeline.kubeflow.settings import ClusterSettings

SMALLEST = {
    "image": "registry.example/yt8m:0.1.0",
    "pipeline_root": "minio://mlpipeline/v2/artifacts",
    "push_directory": "/mnt/yt8m/serving",
    "volumes": [{"claim": "yt8m", "path": "/mnt/yt8m"}],
}


@pytest.fixture(scope="session")
def cluster() -> Callable[..., ClusterSettings]:
    """Settings of a cluster; arguments replace those of the smallest."""

    def build(**own: Any) -> ClusterSettings:
        return ClusterSettings.model_validate({**SMALLEST, **own})

    return build
