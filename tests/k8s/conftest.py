"""Renders the kustomizations of k8s/ as `kubectl apply -k` would."""

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest
import yaml

K8S = Path(__file__).parents[2] / "k8s"
OVERLAYS = sorted(path.name for path in (K8S / "overlays").iterdir())


def renderer():
    """The command that renders a kustomization; None without kubectl and kustomize."""
    if path := shutil.which("kubectl"):
        return [path, "kustomize"]
    return [path, "build"] if (path := shutil.which("kustomize")) else None


@cache
def render_folder(folder):
    command = renderer()
    if command is None and os.environ.get("CI"):
        pytest.fail("CI needs kubectl or kustomize (see .ci/run)")
    if command is None:
        pytest.skip("neither kubectl nor kustomize is on PATH: k8s/ is not rendered")
    result = subprocess.run([*command, folder], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return [document for document in yaml.safe_load_all(result.stdout) if document]


@pytest.fixture(scope="session")
def render():
    return render_folder


@pytest.fixture(params=OVERLAYS)
def overlay(request):
    """Name of an overlay; a test with it runs for every overlay."""
    return request.param


@pytest.fixture
def rendered(overlay):
    return render_folder(K8S / "overlays" / overlay)


@pytest.fixture
def with_base(rendered):
    """Objects of an overlay and of the base."""
    return [*rendered, *render_folder(K8S / "base")]


@pytest.fixture
def pods(rendered):
    """Pod specs by the kind and name of the object that creates the pods."""
    specs = {}
    for item in rendered:
        spec = item.get("spec", {})
        template = spec.get("jobTemplate", {}).get("spec", spec).get("template")
        if template:
            specs[item["kind"], item["metadata"]["name"]] = template["spec"]
    return specs
