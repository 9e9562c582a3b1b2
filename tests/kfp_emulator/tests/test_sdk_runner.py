from collections.abc import Callable
from pathlib import Path

import pytest
from kfp import compiler, dsl

from kfp_emulator.sdk_runner import run_locally
from kfp_emulator.tests.small_components import shell_pipeline

# kfp.local creates no folders, and learns of outputs only from the output file.
STEP = """
import json, pathlib, sys
import pipeline
text, source, page, executor_input = sys.argv[1:]
assert not pathlib.Path("/tmp/mine").exists(), "left by the step before"
pathlib.Path("/tmp/mine").touch()
path, output = pathlib.Path(page), pathlib.Path(json.loads(executor_input)["outputs"]["outputFile"])
path.parent.mkdir(parents=True, exist_ok=True)
path.write_text(pathlib.Path(source).read_text() + text)
output.parent.mkdir(parents=True, exist_ok=True)
output.write_text(json.dumps({"artifacts": {"page": {"artifacts": [{"uri": page}]}}}))
"""


@pytest.mark.usefixtures("pods_allowed")
def test_a_package_runs_under_kfp_local(tmp_path: Path):
    @dsl.container_component
    def first(text: str, page: dsl.Output[dsl.HTML]):
        return dsl.ContainerSpec("image:1", ["python", "-c", STEP], [text, "/in/a", page.path, "{{$}}"])

    @dsl.container_component
    def second(source: dsl.Input[dsl.HTML], page: dsl.Output[dsl.HTML]):
        return dsl.ContainerSpec("image:1", ["python", "-c", STEP], ["!", source.path, page.path, "{{$}}"])

    def pipeline(text: str = "hello"):
        second(source=first(text=text).outputs["page"])

    package = tmp_path / "package.yaml"
    compiler.Compiler().compile(dsl.pipeline(name="small")(pipeline), str(package))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a").write_text("read ")
    run = run_locally(package, tmp_path / "local", {"text": "world"}, mounts={"/in": tmp_path / "in"})
    assert run.output("second", "page").read_text() == "read world!"


@pytest.mark.usefixtures("pods_allowed")
def test_a_failed_step_fails_the_run_under_kfp_local(compiled: Callable[..., Path], tmp_path: Path):
    with pytest.raises(RuntimeError, match="shell"):
        run_locally(compiled(shell_pipeline("echo reason; exit 3")), tmp_path / "local")
    assert (tmp_path / "local" / "log").read_text() == "reason\n"
