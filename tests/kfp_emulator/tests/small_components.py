"""Components without dependencies, for the packages of the emulator's tests."""

from collections.abc import Callable

from kfp import dsl

# Writes an output as the package's entrypoint does: metadata through the output file, which has no types.
WRITE = """
import json, os, pathlib, sys
executor_input = json.loads(sys.argv[1])
numbers = executor_input["outputs"]["artifacts"]["numbers"]["artifacts"][0]
path = pathlib.Path("/minio/" + numbers["uri"].removeprefix("minio://"))
assert path.parent.is_dir() and not path.exists(), "only the parents of outputs are created"
(path / "deep").mkdir(parents=True)
(path / "deep" / "numbers.txt").write_text("1 2 3")
metadata = json.loads(executor_input["inputs"]["parameterValues"]["metadata"])
output = {"artifacts": {"numbers": {"artifacts": [{"metadata": metadata}]}}}
pathlib.Path(executor_input["outputs"]["outputFile"]).write_text(json.dumps(output))
"""

READ = """
import json, os, pathlib, sys
executor_input = json.loads(sys.argv[1])
[numbers] = executor_input["inputs"]["artifacts"]["numbers"]["artifacts"]
path = pathlib.Path("/minio/" + numbers["uri"].removeprefix("minio://"))
print("input", json.dumps(numbers), flush=True)
pathlib.Path(sys.argv[2]).write_text((path / "deep" / "numbers.txt").read_text() if path.exists() else "nothing")
"""


@dsl.container_component
def writer(metadata: str, numbers: dsl.Output[dsl.Dataset]):
    return dsl.ContainerSpec("image:1", ["python", "-c", WRITE], ["{{$}}"])


@dsl.container_component
def reader(numbers: dsl.Input[dsl.Dataset], text: dsl.Output[dsl.Artifact]):
    return dsl.ContainerSpec("image:1", ["python", "-c", READ], ["{{$}}", text.path])


@dsl.container_component
def shell(script: str, page: dsl.Output[dsl.HTML]):
    return dsl.ContainerSpec("image:1", ["sh", "-ec", script], [page.path])


def shell_pipeline(script: str, **settings: int) -> Callable[[], None]:
    def pipeline():
        task = shell(script=script)
        if "retries" in settings:
            task.set_retry(settings["retries"])

    return pipeline
