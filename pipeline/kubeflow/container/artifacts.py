"""Converts artifacts between the forms of KFP's launcher and of TFX's executors."""

import os
import shutil
from collections.abc import Mapping
from typing import Any

from tfx import v1 as tfx
from tfx.types.artifact import PropertyType

from pipeline.kubeflow.container.executor_input import ExecutorInput, local_path

# Properties that KFP adds to an artifact's metadata.
KFP_PROPERTIES = ("store_session_info", "display_name")

Artifacts = dict[str, list[tfx.dsl.Artifact]]
Types = Mapping[str, type[tfx.dsl.Artifact]]

_CASTS = {PropertyType.INT: int, PropertyType.FLOAT: float, PropertyType.STRING: str}


def input_artifacts(executor_input: ExecutorInput, types: Types, paths: Mapping[str, str]) -> Artifacts:
    """The input artifacts, at their local paths.

    The launcher does not pass their types: the pipeline knows them. It does not pass empty directories either, as
    object stores have none: they are made here.

    Args:
        executor_input: the launcher's input.
        types: of the inputs that the step needs, by name.
        paths: where the package's inputs lie, by name.

    Raises:
        InputError: the package has no such input.
    """
    return {name: [_input(executor_input.artifact("inputs", name), kind, paths[name])] for name, kind in types.items()}


def output_artifacts(executor_input: ExecutorInput, types: Types) -> Artifacts:
    """The output artifacts, with empty directories: leftovers of an earlier attempt are removed."""
    artifacts = {}
    for name, kind in types.items():
        artifact = kind()
        artifact.uri = local_path(executor_input.uri("outputs", name))
        shutil.rmtree(artifact.uri, ignore_errors=True)
        os.makedirs(artifact.uri)
        artifacts[name] = [artifact]
    return artifacts


def _input(passed: Mapping[str, Any], kind: type[tfx.dsl.Artifact], path: str) -> tfx.dsl.Artifact:
    artifact = kind()
    artifact.uri = path
    for key, value in (passed.get("metadata") or {}).items():
        if key not in KFP_PROPERTIES:
            _set_property(artifact, key, _unwrapped(value))
    os.makedirs(artifact.uri, exist_ok=True)
    return artifact


def metadata_of(artifact: tfx.dsl.Artifact, uris: Mapping[str, str]) -> dict[str, Any]:
    """The properties of an artifact that are set, as the launcher cannot read null.

    Args:
        artifact: an executor's output.
        uris: local path of an artifact -> its URI; replaces properties that are such a path.
    """
    message = artifact.mlmd_artifact
    properties = {
        **{key: getattr(artifact, key) for key, value in message.properties.items() if value.WhichOneof("value")},
        **{key: artifact.get_custom_property(key) for key in message.custom_properties},
    }
    return {
        key: uris.get(value, value) if isinstance(value, str) else value
        for key, value in properties.items()
        if value is not None
    }


def _unwrapped(value: Any) -> Any:
    """The value without the wrapping of KFP's metadata store: {"list": [...]} or {"struct": {...}}."""
    if isinstance(value, dict) and len(value) == 1:
        [(kind, inner)] = value.items()
        if isinstance(inner, {"list": list, "struct": dict}.get(kind, ())):
            return inner
    return value


def _set_property(artifact: tfx.dsl.Artifact, key: str, value: Any) -> None:
    declared = (artifact.PROPERTIES or {}).get(key)
    if declared:
        cast = _CASTS.get(declared.type)
        setattr(artifact, key, cast(value) if cast else value)
    elif isinstance(value, str):
        artifact.set_string_custom_property(key, value)
    elif isinstance(value, bool | int) or (isinstance(value, float) and value.is_integer()):
        artifact.set_int_custom_property(key, int(value))  # the store has only doubles
    elif isinstance(value, float):
        artifact.set_float_custom_property(key, value)
    elif value is not None:
        artifact.set_json_value_custom_property(key, value)
