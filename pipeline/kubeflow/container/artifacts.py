"""Converts artifacts between the forms of KFP's launcher and of TFX's executors."""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfx import v1 as tfx
from tfx.types.artifact import PropertyType

from components.champion_resolver import VERSION
from models.errors import InputError

# Local folders to and from which the launcher copies an object store's artifacts.
FOLDERS = {"minio://": "/minio/", "s3://": "/s3/", "gs://": "/gcs/"}

# Properties that KFP adds to an artifact's metadata.
KFP_PROPERTIES = ("store_session_info", "display_name")

Artifacts = dict[str, list[tfx.dsl.Artifact]]
Types = Mapping[str, type[tfx.dsl.Artifact]]

_CASTS = {PropertyType.INT: int, PropertyType.FLOAT: float, PropertyType.STRING: str}


def local_path(uri: str) -> str:
    """The launcher's local path of an artifact; a URI without a scheme (from kfp.local) is already a path."""
    for scheme, folder in FOLDERS.items():
        if uri.startswith(scheme):
            return folder + uri.removeprefix(scheme)
    return uri


@dataclass(frozen=True)
class ExecutorInput:
    """A container's input from the launcher: the `{{$}}` of the package."""

    content: Mapping[str, Any]

    @classmethod
    def parse(cls, text: str) -> "ExecutorInput":
        """Reads the JSON."""
        return cls(json.loads(text))

    @property
    def parameters(self) -> dict[str, Any]:
        """The step's parameters."""
        return self.content.get("inputs", {}).get("parameterValues", {})

    @property
    def output_file(self) -> Path:
        """Where the step writes an ExecutorOutput for the launcher."""
        return Path(self.content["outputs"]["outputFile"])

    def uri(self, side: str, name: str) -> str:
        """The URI of an artifact in `inputs` or `outputs`.

        Raises:
            InputError: there is no such artifact.
        """
        artifacts = self.content.get(side, {}).get("artifacts", {}).get(name, {}).get("artifacts")
        if not artifacts:
            raise InputError(f"the package has no {side[:-1]} {name}, which this image needs: compile it again")
        return artifacts[0]["uri"]

    def inputs(self, types: Types) -> Artifacts:
        """The input artifacts, at their local paths.

        The launcher does not pass their types: the pipeline knows them. It does not pass empty directories either, as
        object stores have none: they are made here.

        Raises:
            InputError: an artifact other than a missing champion has no file.
        """
        return {name: [self._input(name, kind)] for name, kind in types.items()}

    def outputs(self, types: Types) -> Artifacts:
        """The output artifacts, with empty directories: leftovers of an earlier attempt are removed."""
        artifacts = {}
        for name, kind in types.items():
            artifact = kind()
            artifact.uri = local_path(self.uri("outputs", name))
            shutil.rmtree(artifact.uri, ignore_errors=True)
            os.makedirs(artifact.uri)
            artifacts[name] = [artifact]
        return artifacts

    def _input(self, name: str, kind: type[tfx.dsl.Artifact]) -> tfx.dsl.Artifact:
        uri = self.uri("inputs", name)
        [passed, *_] = self.content["inputs"]["artifacts"][name]["artifacts"]
        properties = (passed.get("metadata") or {}).items()
        metadata = {key: _unwrapped(value) for key, value in properties if key not in KFP_PROPERTIES}
        artifact = kind()
        artifact.uri = local_path(uri)
        for key, value in metadata.items():
            _set_property(artifact, key, value)
        os.makedirs(artifact.uri, exist_ok=True)
        no_champion = metadata.get(VERSION) == ""
        if not no_champion and not any(files for _, _, files in os.walk(artifact.uri)):
            raise InputError(f"input {name} is {uri}, which has no files: run the step that wrote it again")
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
