"""A container's input from KFP's launcher; imports no TFX, so that a step without its inputs ends at once."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.champion import VERSION
from models.errors import InputError

# Local folders to and from which the launcher copies an object store's artifacts.
FOLDERS = {"minio://": "/minio/", "s3://": "/s3/", "gs://": "/gcs/"}


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
    def output_parameters(self) -> list[str]:
        """Names of the parameters that the step outputs."""
        return list(self.content["outputs"].get("parameters", {}))

    @property
    def output_file(self) -> Path:
        """Where the step writes an ExecutorOutput for the launcher."""
        return Path(self.content["outputs"]["outputFile"])

    @property
    def input_names(self) -> list[str]:
        """Names of the input artifacts."""
        return list(self.content.get("inputs", {}).get("artifacts", {}))

    def artifact(self, side: str, name: str) -> Mapping[str, Any]:
        """An artifact in `inputs` or `outputs`: its URI, and the metadata of an input.

        Raises:
            InputError: there is no such artifact.
        """
        artifacts = self.content.get(side, {}).get("artifacts", {}).get(name, {}).get("artifacts")
        if not artifacts:
            raise InputError(f"the package has no {side[:-1]} {name}, which this image needs: compile it again")
        return artifacts[0]

    def uri(self, side: str, name: str) -> str:
        """The URI of an artifact, see `artifact`."""
        return self.artifact(side, name)["uri"]

    def producer(self, name: str) -> str:
        """The step that wrote an input: a URI is `<root>/<pipeline>/<run>/<step>/<id>/<output>`."""
        return self.uri("inputs", name).rsplit("/", 3)[-3]

    def require_files(self) -> None:
        """Checks that the launcher found the input artifacts in the store.

        It says nothing of those that are gone, such as results in KFP's cache that were deleted from the store.

        Raises:
            InputError: an artifact other than a missing champion has no file.
        """
        for name in self.input_names:
            artifact = self.artifact("inputs", name)
            no_champion = (artifact.get("metadata") or {}).get(VERSION) == ""
            if not no_champion and not any(files for _, _, files in os.walk(local_path(artifact["uri"]))):
                raise InputError(
                    f"input {name} is {artifact['uri']}, which has no files: run the step that wrote it again, "
                    "with `yt8m submit --no-cache`; retries cannot help"
                )
