"""Settings of the smallest cluster."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from kfp_emulator.fixtures import api_server, pods_allowed
from pipeline.kubeflow.compile.settings import ClusterSettings

__all__ = ["api_server", "pods_allowed"]

SMALLEST = {
    "image": "registry.example/yt8m:0.1.0",
    "pipeline_root": "minio://mlpipeline/v2/artifacts",
    "push_directory": "/mnt/yt8m/serving",
    "volumes": [{"claim": "yt8m", "path": "/mnt/yt8m"}],
}


@pytest.fixture(scope="session")
def cluster() -> Callable[..., ClusterSettings]:
    """Builds the smallest cluster's settings; arguments replace single ones."""

    def build(**own: Any) -> ClusterSettings:
        return ClusterSettings.model_validate({**SMALLEST, **own})

    return build


@pytest.fixture
def cluster_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes the same settings to a file for `--cluster`."""

    def write(**own: Any) -> Path:
        path = tmp_path / "cluster.yaml"
        path.write_text(yaml.safe_dump({"cluster": {**SMALLEST, **own}}))
        return path

    return write
