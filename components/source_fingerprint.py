"""A fingerprint of the code that a pipeline node runs, for its cache key."""

import ast
import hashlib
from functools import cache
from pathlib import Path

PACKAGES = ("components", "models", "tuner", "pipeline")
_ROOT = Path(__file__).resolve().parent.parent


def source_fingerprint(*modules: str) -> str:
    """Hash of modules of ours and of all our modules that they import, directly or not.

    TFX's cache sees only a node's parameters: with this among them an edit runs the nodes again that use the edited
    code, and no other (an edit in models/ does not ingest a terabyte again).

    Args:
        modules: dotted names, say `components.trainer.trainer`.
    """
    files: dict[str, bytes] = {}
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        path = _path(module)
        if path is None or module in files:
            continue
        files[module] = path.read_bytes()
        waiting += [*_parents(module), *_imports(files[module])]
    digest = hashlib.sha256()
    for module in sorted(files):
        digest.update(module.encode() + b"\0" + files[module] + b"\0")
    return digest.hexdigest()[:16]


@cache  # of the source, not of its path: a pipeline's nodes share most modules
def _imports(source: bytes) -> tuple[str, ...]:
    """The names that a module imports; `a` and `a.b` of `from a import b`."""
    names: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return tuple(names)


def _parents(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts))]


def _path(module: str) -> Path | None:
    """The file of one of our modules or packages."""
    if module.split(".")[0] not in PACKAGES:
        return None
    base = _ROOT.joinpath(*module.split("."))
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)
