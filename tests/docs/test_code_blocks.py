"""The commands and programs of README.md and docs/ do what they say."""

import itertools
import logging
import subprocess
import sys

import pytest

from pipeline.cli import main
from tests.docs.code_blocks import PAGES, ROOT, Block, blocks, check, commands

BLOCKS = [block for page in PAGES for block in blocks(page)]
EXECUTED = [page for page in PAGES if any(block.marker == "run" for block in blocks(page))]

# Prints the number of its words and each of them; without a PATH, bash finds no other command.
_YT8M = 'PATH=; yt8m() { printf "%s\\0" $# "$@"; }\n'


@pytest.fixture(scope="module")
def desk(tmp_path_factory, frames, finished_run):
    """A folder as a reader of the pages has it after `make demo`."""
    folder = tmp_path_factory.mktemp("desk")
    for link, target in (("data/demo", frames), ("runs/demo", finished_run.folder)):
        (folder / link).parent.mkdir()
        (folder / link).symlink_to(target)
    return folder


@pytest.fixture
def execute(desk, monkeypatch):
    """Executes a bash or Python block in this process, as a new one takes 12 s to import TFX; writes a YAML block."""
    monkeypatch.chdir(desk)
    # A run of an earlier test may have left handlers that write to pytest's old replacement of stderr.
    monkeypatch.setattr(logging, "raiseExceptions", False)

    def run(block: Block) -> None:
        if block.language == "yaml":
            (desk / block.file).write_text(block.text)
        elif block.language == "python":
            exec(compile(block.text, block.place, "exec"), {"__name__": "__main__"})
        else:
            read = as_bash_reads(block.text)
            assert len(read) == len(commands(block.text)), f"{block.place}: only calls of yt8m can be executed"
            for words in read:
                monkeypatch.setattr(sys, "argv", ["yt8m", *words])
                main()

    return run


def as_bash_reads(text: str) -> list[list[str]]:
    """The arguments of each call of `yt8m`, after bash has read quotes, wildcards and continued lines."""
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", _YT8M + text], capture_output=True, text=True, check=True)
    words = iter(done.stdout.split("\0")[:-1])
    return [list(itertools.islice(words, int(count))) for count in words]


@pytest.mark.parametrize("page", EXECUTED, ids=lambda page: page.stem)
def test_the_blocks_of_a_page_run_as_written(page, execute):
    for block in blocks(page):
        if block.marker == "run":
            execute(block)


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
