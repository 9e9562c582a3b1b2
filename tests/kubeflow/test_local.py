from pathlib import Path

import pytest
from kfp import compiler, dsl
from local import run_locally


@pytest.mark.usefixtures("pods_allowed")
def test_a_package_runs_under_kfp_local(tmp_path: Path):
    @dsl.container_component
    def line(text: str, page: dsl.Output[dsl.HTML]):
        return dsl.ContainerSpec(
            "image:1", ["sh", "-c", "mkdir -p $(dirname $1); cat /in/a > $1; echo $0 >> $1"], [text, page.path]
        )

    def pipeline(text: str = "hello"):
        line(text=text)

    package = tmp_path / "line.yaml"
    compiler.Compiler().compile(dsl.pipeline(name="small")(pipeline), str(package))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a").write_text("read\n")
    run = run_locally(package, tmp_path / "local", {"text": "world"}, mounts={"/in": tmp_path / "in"})
    assert run.output("line", "page").read_text() == "read\nworld\n"
