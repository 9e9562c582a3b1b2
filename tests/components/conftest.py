"""Runs executors as TFX's launcher does, without a metadata store."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tfx import v1 as tfx
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor

import components.schema
from components.example_gen.component import ExampleGenExecutor, Quarantine, resolve
from components.transform.component import TransformExecutor

# The second keeps TFX from packing itself for each executor, 2 s of CPU.
BEAM_ARGS = ["--runner=FnApiRunner", "--sdk_container_image=none"]


@pytest.fixture
def artifact(tmp_path: Path) -> Callable[..., Any]:
    """An artifact of a type with a folder of its own."""

    def make(kind: type, name: str, **properties: Any) -> Any:
        made = kind()
        made.uri = str(tmp_path / "artifacts" / name)
        Path(made.uri).mkdir(parents=True, exist_ok=True)
        for key, value in properties.items():
            setattr(made, key, value)
        return made

    return make


@pytest.fixture
def execute(tmp_path: Path) -> Callable[..., None]:
    """Runs an executor class on artifacts and properties."""

    def run(executor: type, inputs: dict[str, Any], outputs: dict[str, Any], properties: dict[str, Any]) -> None:
        beam = {"beam_pipeline_args": list(BEAM_ARGS)} if issubclass(executor, BaseBeamExecutor) else {}
        context = executor.Context(tmp_dir=str(tmp_path / "tmp"), unique_id="1", **beam)
        executor(context).Do(
            {key: [value] for key, value in inputs.items()},
            {key: [value] for key, value in outputs.items()},
            properties,
        )

    return run


@pytest.fixture
def ingest(artifact: Callable[..., Any], execute: Callable[..., None]) -> Callable[..., Any]:
    """Runs ExampleGen, driver included, and returns its Examples and quarantine artifacts."""

    def run(data: Path | str, **properties: Any) -> tuple[Any, Any]:
        settings = {
            "data": str(data),
            "test_data": "",
            "spans": 1,
            "split": "id:60/20/20",
            "seed": 0,
            "level": "frame",
            "classes": 10,
            "kept_features": "[]",
            "quarantine_limit": 0.0,
            "sources": "",
        } | properties
        examples = artifact(tfx.types.standard_artifacts.Examples, "examples")
        quarantine = artifact(Quarantine, "quarantine")
        execute(ExampleGenExecutor, {}, {"examples": examples, "quarantine": quarantine}, resolve(settings))
        return examples, quarantine

    return run


@pytest.fixture
def transform(
    ingest: Callable[..., Any], artifact: Callable[..., Any], execute: Callable[..., None]
) -> Callable[..., tuple[Any, Any, Any, Any]]:
    """Runs ExampleGen and Transform; returns examples, transform graph, transformed examples and schema."""

    def run(data: Path, level: str, classes: int, **properties: Any) -> tuple[Any, Any, Any, Any]:
        examples, _ = ingest(data, level=level, classes=classes, **properties)
        schema = artifact(tfx.types.standard_artifacts.Schema, "schema")
        text = Path(components.schema.__file__).with_name(f"{level}.pbtxt").read_text()
        Path(schema.uri, "schema.pbtxt").write_text(text)
        graph = artifact(tfx.types.standard_artifacts.TransformGraph, "graph")
        transformed = artifact(tfx.types.standard_artifacts.Examples, "transformed")
        execute(
            TransformExecutor,
            {"examples": examples, "schema": schema},
            {"transform_graph": graph, "transformed_examples": transformed},
            {
                "preprocessing_fn": "components.transform.preprocessing.preprocessing_fn",
                "custom_config": json.dumps({"level": level, "classes": classes}),
                "disable_statistics": 1,
            },
        )
        return examples, graph, transformed, schema

    return run
