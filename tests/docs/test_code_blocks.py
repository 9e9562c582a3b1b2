"""The commands and programs of README.md and docs/ do what they say."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.code_blocks import PAGES, ROOT, Block, blocks, check

BLOCKS = [block for page in PAGES for block in blocks(page)]
EXECUTED = [page for page in PAGES if any(block.marker == "run" for block in blocks(page))]

# As tests/conftest.py says of NumPy; TensorFlow's notes are no part of what a command prints.
ENVIRONMENT = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "TF_CPP_MIN_LOG_LEVEL": "3"}


@pytest.fixture(scope="module")
def desk(tmp_path_factory, frames, finished_run):
    """A folder as a reader of the pages has it after `make demo`."""
    folder = tmp_path_factory.mktemp("desk")
    for link, target in (("data/demo", frames), ("runs/demo", finished_run.folder)):
        (folder / link).parent.mkdir()
        (folder / link).symlink_to(target)
    return folder


def execute(block: Block, folder: Path) -> None:
    """Executes a bash or Python block; writes a YAML block to its file."""
    if block.language == "yaml":
        (folder / block.file).write_text(block.text)
        return
    command = ["bash", "-euo", "pipefail", "-c"] if block.language == "bash" else [sys.executable, "-c"]
    done = subprocess.run([*command, block.text], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, f"{block.place}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("page", EXECUTED, ids=lambda page: page.stem)
def test_the_blocks_of_a_page_run_as_written(page, desk):
    for block in blocks(page):
        if block.marker == "run":
            execute(block, desk)


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A folder with the files that commands name: the checkout's, a cluster's settings and a package."""
    for name in ("k8s", "tests", "docs"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "cluster.yaml").write_text((ROOT / "k8s/overlays/schedule/cluster.yaml").read_text())
    (tmp_path / "package.yaml").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.place)
def test_what_a_block_names_exists(block, checkout):
    for other in blocks(block.page):
        if other.language == "yaml":
            (checkout / other.file).write_text(other.text)
    check(block, checkout)
