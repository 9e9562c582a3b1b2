from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from kfp_emulator.driver import InvalidInputError
from kfp_emulator.emulator import Emulator
from kfp_emulator.tests.small_components import shell_pipeline, writer


def test_missing_unknown_and_mistyped_parameters(emulator: Callable[..., Emulator], compiled: Callable[..., Path]):
    def pipeline(metadata: str):
        writer(metadata=metadata)

    path = compiled(pipeline)
    with pytest.raises(InvalidInputError, match="metadata is not optional, yet has neither default value nor"):
        emulator().run(path)
    with pytest.raises(InvalidInputError, match="not required by pipeline: other"):
        emulator().run(path, {"metadata": "{}", "other": "x"})
    with pytest.raises(InvalidInputError, match="metadata requires type STRING"):
        emulator().run(path, {"metadata": 1})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda spec: spec.update(schemaVersion="2.0.0"), "only supports schema version 2.1.0"),
        (lambda spec: spec.update(strange=1), "strange"),
        (lambda spec: spec["pipelineInfo"].clear(), "name is empty"),
        (lambda spec: spec.pop("root"), "root component is empty"),
        (
            lambda spec: spec["deploymentSpec"]["executors"].update({"exec-shell": {"resolver": {}}}),
            "non-container and non-importer executor",
        ),
        (
            lambda spec: spec["root"]["dag"].update(tasks={"a_b": spec["root"]["dag"]["tasks"]["shell"]}),
            "Argo allows letters",
        ),
    ],
)
def test_a_package_that_breaks_a_rule_of_kfp_is_invalid(
    emulator: Callable[..., Emulator], compiled: Callable[..., Path], change: Callable[[dict], None], reason: str
):
    with pytest.raises(InvalidInputError, match=reason):
        emulator().run(compiled(shell_pipeline("true"), change))


def test_a_platform_spec_with_an_unknown_field_is_invalid(
    emulator: Callable[..., Emulator], compiled: Callable[..., Path]
):
    path = compiled(shell_pipeline("true"))
    platform = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": {"exec-shell": {"nodeSelect": {}}}}}}}
    path.write_text(yaml.safe_dump_all([*yaml.safe_load_all(path.read_text()), platform]))
    with pytest.raises(InvalidInputError, match="nodeSelect"):
        emulator().run(path)


def test_a_platform_spec_for_an_executor_that_does_not_exist_is_invalid(
    emulator: Callable[..., Emulator], compiled: Callable[..., Path]
):
    path = compiled(shell_pipeline("true"))
    platform = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": {"exec-other": {}}}}}}
    path.write_text(yaml.safe_dump_all([*yaml.safe_load_all(path.read_text()), platform]))
    with pytest.raises(InvalidInputError, match="executors that do not exist: exec-other"):
        emulator().run(path)


@pytest.mark.parametrize("text", ["", "just words", "a: [", "---\n"])
def test_a_file_without_a_package_is_invalid(emulator: Callable[..., Emulator], tmp_path: Path, text: str):
    path = tmp_path / "package.yaml"
    path.write_text(text)
    with pytest.raises(InvalidInputError):
        emulator().run(path)
