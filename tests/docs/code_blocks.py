"""The code blocks of README.md and docs/, by the marker after their language; prints those that no test executes."""

import ast
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import yaml

from pipeline.cli import yt8m
from pipeline.experiments import catalogue, find_experiment
from pipeline.kubeflow.compile.settings import read_cluster
from pipeline.settings import resolve_settings

ROOT = Path(__file__).parents[2]

# In the order of the site's contents: a page may use what an earlier one wrote.
_CONTENTS = re.findall(r"^([a-z-]+)$", (ROOT / "docs" / "index.md").read_text(), re.MULTILINE)
PAGES = [ROOT / "README.md", *(ROOT / "docs" / f"{name}.md" for name in _CONTENTS)]

LANGUAGES, MARKERS = ("bash", "python", "yaml"), ("run", "parse")

_FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# What the cluster has without our manifests.
_KUBEFLOW = {"service/ml-pipeline-ui"}


@dataclass(frozen=True)
class Block:
    """A code block.

    Attributes:
        page: the file that it stands in.
        line: of its fence, from 1.
        language: bash, python or yaml.
        marker: `run` for what a test executes, `parse` for what it checks.
        text: the code.
    """

    page: Path
    line: int
    language: str
    marker: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def file(self) -> str:
        """The file that a YAML block is written to: its first line."""
        return self.text.partition("\n")[0].removeprefix("# ")


def blocks(page: Path) -> list[Block]:
    """The code blocks of a page in their order; a block without a valid language or marker is a ValueError."""
    text = page.read_text("utf-8")
    found = []
    for match in _FENCE.finditer(text):
        if match[1].startswith("{"):  # a directive of Sphinx
            continue
        line = text.count("\n", 0, match.start()) + 1
        language, _, marker = match[1].partition(" ")
        if language not in LANGUAGES or marker not in MARKERS:
            raise ValueError(f"{page}, line {line}: {match[1]!r}, expected {LANGUAGES} and {MARKERS}")
        found.append(Block(page, line, language, marker, match[2]))
    return found


def commands(text: str) -> list[list[str]]:
    """The words of each simple command of a bash block, without assignments before it."""
    result: list[list[str]] = []
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        words: list[str] = []
        for word in _words(line):
            if set(word) <= set("|&;"):
                result, words = [*result, words], []
            elif words or not re.match(r"[A-Z_]+=", word):
                words.append(word)
    return [words for words in result if words]


def _words(line: str) -> list[str]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;")
    lexer.whitespace_split = True
    return [*lexer, ";"]


def check(block: Block, folder: Path) -> None:
    """Checks a block without executing it, in a folder that has the files that it names.

    Raises:
        ValueError, KeyError, SyntaxError, click.ClickException, InputError: something that it names does not exist.
    """
    if block.language == "python":
        ast.parse(block.text)
    elif block.language == "yaml":
        check_yaml(folder / block.file)
    else:
        for words in commands(block.text):
            CHECKS[words[0]](words[1:], folder)


def check_yaml(file: Path) -> None:
    """Checks a file of a cluster or of experiments."""
    if "cluster" in yaml.safe_load(file.read_text()):
        read_cluster(file)
    else:
        catalogue(file)


def check_yt8m(words: Sequence[str], folder: Path) -> None:
    """Checks commands, options, experiments and settings."""
    command: click.Command = yt8m
    words = list(words)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        command = command.commands[words.pop(0)]
    arguments = command.make_context("yt8m", words).params
    own = arguments.get("experiment_file")
    names = arguments.get("experiment") or (arguments.get("name") if command.name in ("tune", "show") else None) or ""
    data = {f"data.{name}": arguments.get(name) for name in ("validation_data", "test_data", "split")}
    data["data.pattern"] = arguments.get("data") or "data/span-{SPAN}"
    entries = [find_experiment(name, own and folder / own) for name in names.split(",") if name]
    overrides = [override for override in arguments.get("overrides", ()) if not override.startswith("cluster.")]
    for entry in entries:
        resolve_settings(entry, data, overrides)
    if cluster := arguments.get("cluster"):
        read_cluster(folder / cluster)


def check_make(words: Sequence[str], folder: Path) -> None:
    """Checks targets."""
    missing = set(words) - set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    if missing:
        raise ValueError(f"make has no target {missing}")


def check_docker(words: Sequence[str], folder: Path) -> None:
    """Checks the target of a build."""
    if words[0] == "build" and f" AS {words[words.index('--target') + 1]}\n" not in (ROOT / "Dockerfile").read_text():
        raise ValueError(f"Dockerfile has no such target: {words}")


def check_kubectl(words: Sequence[str], folder: Path) -> None:
    """Checks folders of manifests, and the names of objects against them."""
    known = set(_KUBEFLOW)
    for file in (ROOT / "k8s").rglob("*.yaml"):
        objects = [entry for entry in yaml.safe_load_all(file.read_text()) if isinstance(entry, dict)]
        known |= {f"{o['kind'].lower()}/{o['metadata']['name']}" for o in objects if "metadata" in o}
    if "-k" in words and not (folder / words[words.index("-k") + 1] / "kustomization.yaml").is_file():
        raise ValueError(f"no kustomization: {words}")
    named = {word.partition("=")[2] or word for word in words if "/" in word and "k8s/" not in word}
    if not named <= known:
        raise ValueError(f"k8s/ has no {named - known}")


def check_python(words: Sequence[str], folder: Path) -> None:
    """Checks that files of a command exist."""
    missing = [word for word in words if "/" in word and not (folder / word).exists()]
    if missing:
        raise ValueError(f"no such file: {missing}")


def no_check(words: Sequence[str], folder: Path) -> None:
    """For what has nothing to check."""


CHECKS = {
    "yt8m": check_yt8m,
    "make": check_make,
    "docker": check_docker,
    "kubectl": check_kubectl,
    ".venv/bin/python": check_python,
    "source": no_check,
    "export": no_check,
}

if __name__ == "__main__":
    everything = [block for page in PAGES for block in blocks(page)]
    parsed = [block for block in everything if block.marker == "parse"]
    print(f"{len(everything) - len(parsed)} code blocks are executed by tests, {len(parsed)} only checked:")
    for block in parsed:
        print(f"  {block.place}: {block.text.strip().splitlines()[0]}")
