"""Artifacts as KFP's launcher hands them over and takes them back, and as TFX's executors know them."""

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

# Where the launcher copies to, and from, what lies in a store.
FOLDERS = {"minio://": "/minio/", "s3://": "/s3/", "gs://": "/gcs/"}

# What KFP adds to an artifact's metadata.
OF_KFP = ("store_session_info", "display_name")

Artifacts = dict[str, list[tfx.dsl.Artifact]]
Types = Mapping[str, type[tfx.dsl.Artifact]]

_CASTS = {PropertyType.INT: int, PropertyType.FLOAT: float, PropertyType.STRING: str}


def local_path(uri: str) -> str:
    """Where the launcher has an artifact; a URI without a scheme (kfp.local's) is its own path."""
    for scheme, folder in FOLDERS.items():
        if uri.startswith(scheme):
            return folder + uri.removeprefix(scheme)
    return uri


@dataclass(frozen=True)
class ExecutorInput:
    """What the launcher says to a container: the `{{$}}` of the package."""

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
        """Where the launcher looks for what the step says of its outputs."""
        return Path(self.content["outputs"]["outputFile"])

    def uri(self, side: str, name: str) -> str:
        """Of an artifact of `inputs` or `outputs`.

        Raises:
            InputError: the launcher names no such artifact.
        """
        found = self.content.get(side, {}).get("artifacts", {}).get(name, {}).get("artifacts")
        if not found:
            raise InputError(f"the package has no {side[:-1]} {name}, which this image needs: compile it anew")
        return found[0]["uri"]

    def inputs(self, types: Types) -> Artifacts:
        """The input artifacts, at their local paths.

        The launcher leaves out their types, which the pipeline knows, and the directories that hold no file, which
        object stores don't know.

        Raises:
            InputError: an artifact that should hold files holds none.
        """
        return {name: [self._input(name, kind)] for name, kind in types.items()}

    def outputs(self, types: Types) -> Artifacts:
        """The output artifacts: empty directories, whatever an earlier attempt has left there."""
        made = {}
        for name, kind in types.items():
            artifact = kind()
            artifact.uri = local_path(self.uri("outputs", name))
            shutil.rmtree(artifact.uri, ignore_errors=True)
            os.makedirs(artifact.uri)
            made[name] = [artifact]
        return made

    def _input(self, name: str, kind: type[tfx.dsl.Artifact]) -> tfx.dsl.Artifact:
        uri = self.uri("inputs", name)
        [given, *_] = self.content["inputs"]["artifacts"][name]["artifacts"]
        metadata = {key: _unwrapped(value) for key, value in (given.get("metadata") or {}).items() if key not in OF_KFP}
        artifact = kind()
        artifact.uri = local_path(uri)
        for key, value in metadata.items():
            _set_property(artifact, key, value)
        os.makedirs(artifact.uri, exist_ok=True)
        no_champion = metadata.get(VERSION) == ""
        if not no_champion and not any(files for _, _, files in os.walk(artifact.uri)):
            raise InputError(f"input {name} is {uri}, which holds no file: the step that wrote it must run again")
        return artifact


def metadata_of(artifact: tfx.dsl.Artifact, uris: Mapping[str, str]) -> dict[str, Any]:
    """The properties of an artifact, without those that are not set: the launcher cannot read null.

    Args:
        artifact: an executor's output.
        uris: by the local path of an artifact; properties that name one name its URI instead.
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
    """What KFP's metadata store wraps: {"list": [...]} and {"struct": {...}}."""
    if isinstance(value, dict) and len(value) == 1:
        [(kind, inner)] = value.items()
        if isinstance(inner, {"list": list, "struct": dict}.get(kind, ())):
            return inner
    return value


def _set_property(artifact: tfx.dsl.Artifact, key: str, value: Any) -> None:
    known = (artifact.PROPERTIES or {}).get(key)
    if known:
        setattr(artifact, key, _CASTS.get(known.type, lambda given: given)(value))
    elif isinstance(value, str):
        artifact.set_string_custom_property(key, value)
    elif isinstance(value, bool | int) or (isinstance(value, float) and value.is_integer()):
        artifact.set_int_custom_property(key, int(value))  # the store has numbers of one kind
    elif isinstance(value, float):
        artifact.set_float_custom_property(key, value)
    elif value is not None:
        artifact.set_json_value_custom_property(key, value)
