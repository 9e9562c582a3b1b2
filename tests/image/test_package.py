"""What the image is built from: the project's wheel and the locks."""

import runpy
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
context_files = runpy.run_path(str(Path(__file__).with_name("dockerfile.py")))["context_files"]


def packages_of(names):
    return {name for name in names if name.parts[0] in ("pipeline", "components", "tuner", "models")}


@pytest.fixture(scope="module")
def tracked():
    listed = subprocess.run(["git", "ls-files", "-z", "--cached"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [Path(name) for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_the_build_context_has_only_files_that_the_image_needs(tracked):
    context = set(context_files(ROOT, (ROOT / ".dockerignore").read_text()))
    files = {"setup.py", "pyproject.toml", "README.md", "LICENSE"}
    locks = {"requirements.lock", "requirements-gpu.lock", "requirements-bootstrap.lock"}
    assert context & set(tracked) == packages_of(tracked) | {Path(name) for name in files | locks}
    assert not [name for name in context if "__pycache__" in name.parts]


def test_the_wheel_holds_every_file_of_the_packages(tracked, tmp_path):
    packages = packages_of(tracked)
    for name in packages | {Path(name) for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE")}:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run([sys.executable, "setup.py", "-q", "bdist_wheel"], cwd=tmp_path, check=True, capture_output=True)
    [wheel] = tmp_path.glob("dist/*.whl")
    assert {str(name) for name in packages} <= set(zipfile.ZipFile(wheel).namelist())


def test_the_dockerfile_passes_hadolint():
    result = subprocess.run([Path(sys.executable).with_name("hadolint"), ROOT / "Dockerfile"], capture_output=True)
    assert result.returncode == 0, result.stdout.decode()
