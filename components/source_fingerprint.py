"""A fingerprint of the code that a pipeline node runs, for its cache key."""

import ast
import hashlib
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
        waiting += _parents(module)
        for node in ast.walk(ast.parse(files[module])):
            if isinstance(node, ast.Import):
                waiting += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                waiting += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    digest = hashlib.sha256()
    for module in sorted(files):
        digest.update(module.encode() + b"\0" + files[module] + b"\0")
    return digest.hexdigest()[:16]


def _parents(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts))]


def _path(module: str) -> Path | None:
    """The file of one of our modules or packages."""
    if module.split(".")[0] not in PACKAGES:
        return None
    base = _ROOT.joinpath(*module.split("."))
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)
