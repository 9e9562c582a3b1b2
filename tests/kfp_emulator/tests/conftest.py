"""A small cluster and packages for it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml
from kfp import compiler, dsl

from kfp_emulator.emulator import Emulator
from kfp_emulator.fixtures import api_server, pods_allowed

__all__ = ["api_server", "pods_allowed"]


@pytest.fixture
def emulator(pods_allowed: None, tmp_path: Path) -> Iterator[Callable[..., Emulator]]:
    """Builds an Emulator with the given options in a folder of its own; closed at the end of the test."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(Emulator(tmp_path / "cluster", **options))


@pytest.fixture
def compiled(tmp_path: Path) -> Callable[..., Path]:
    """Compiles a pipeline function; `change` edits the pipeline spec afterwards."""

    def build(pipeline: Callable[..., None], change: Callable[[dict], None] | None = None) -> Path:
        path = tmp_path / "package.yaml"
        compiler.Compiler().compile(dsl.pipeline(name="small")(pipeline), str(path))
        if change:
            documents = list(yaml.safe_load_all(path.read_text()))
            change(documents[0])
            path.write_text(yaml.safe_dump_all(documents))
        return path

    return build
