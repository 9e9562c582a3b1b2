"""A fingerprint of a pipeline node's code and of the files that it reads, for its cache key."""

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from jinja2 import Environment, meta

PACKAGES = ("components", "models", "tuner", "pipeline")
_ROOT = Path(__file__).resolve().parent.parent

# Files that a module may read from its own folder; templates also extend those of the folder below.
_DATA = (".html", ".pbtxt", ".yaml")
_SHARED_TEMPLATES = "components/pages"


def source_fingerprint(*modules: str) -> str:
    """Hash of our modules, of all our modules that they import, and of the data files that these name.

    TFX's cache key holds only a node's parameters: with this among them an edit reruns just the nodes that use the
    edited file (an edit in models/ does not ingest a terabyte again). A data file is a template, schema or YAML file
    beside the module, whose whole name is a string in the module or in a template.

    Args:
        modules: dotted names, say `components.trainer.trainer`.
    """
    digest = hashlib.sha256()
    for path, content in sorted(_sources(modules).items()):
        digest.update(path.relative_to(_ROOT).as_posix().encode() + b"\0" + content + b"\0")
    return digest.hexdigest()[:16]


@cache
def package_fingerprint() -> str:
    """Hash of all code and data files of our packages: processes with the same one run the same release."""
    digest = hashlib.sha256()
    for package in PACKAGES:
        for path in sorted(path for path in (_ROOT / package).rglob("*") if path.suffix in (".py", *_DATA)):
            digest.update(path.relative_to(_ROOT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _sources(modules: tuple[str, ...]) -> dict[Path, bytes]:
    sources: dict[Path, bytes] = {}
    waiting = [path for module in modules for path in _files(module)]
    while waiting:
        path = waiting.pop()
        if path not in sources:
            sources[path] = path.read_bytes()
            waiting += _referenced(path, sources[path])
    return sources


@cache  # nodes share most of their modules
def _referenced(path: Path, content: bytes) -> tuple[Path, ...]:
    return tuple(_references(path, content))


def _references(path: Path, content: bytes) -> Iterator[Path]:
    if path.suffix == ".html":
        for name in meta.find_referenced_templates(Environment().parse(content.decode())):
            folders = (path.parent, _ROOT / _SHARED_TEMPLATES)
            yield next(folder / str(name) for folder in folders if (folder / str(name)).is_file())
    if path.suffix != ".py":
        return
    for node in ast.walk(ast.parse(content)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _files(alias.name)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                yield from _files(f"{node.module}.{alias.name}")
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.endswith(_DATA):
            beside = path.with_name(node.value) if "/" not in node.value else path
            if beside.is_file():
                yield beside


def _files(name: str) -> Iterator[Path]:
    """The files that importing a dotted name runs: our module, which may be its parent, and all packages above it."""
    parts = name.split(".")
    if parts[0] not in PACKAGES:
        return
    for length in range(1, len(parts) + 1):
        base = _ROOT.joinpath(*parts[:length])
        yield from (path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file())
