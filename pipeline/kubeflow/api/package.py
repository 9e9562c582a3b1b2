"""A compiled package as the API takes it: its text, and the parameters of a run."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import yaml

from models.errors import InputError
from pipeline.files.yaml_text import load_documents


@dataclass(frozen=True)
class Package:
    """A compiled package, as `yt8m compile` writes it.

    Attributes:
        text: the YAML.
        pipeline: name of the pipeline.
        parameters: values of a run's parameters, by name.
        pipeline_root: URI under which KFP keeps the artifacts of its runs. KFP 2.17 reads it in its UI's form alone, so
            runs must name it.
    """

    text: str
    pipeline: str
    parameters: Mapping[str, Any]
    pipeline_root: str

    @classmethod
    def parse(cls, text: str, source: str) -> "Package":
        """Reads a package; `yt8m lint` and the API check it.

        Raises:
            InputError: the text is not a package.
        """
        try:
            spec = load_documents(source, text)[0]
            parameters = spec.get("root", {}).get("inputDefinitions", {}).get("parameters", {})
            defaults = {name: entry["defaultValue"] for name, entry in parameters.items() if "defaultValue" in entry}
            return cls(text, spec["pipelineInfo"]["name"], defaults, spec.get("defaultPipelineRoot", ""))
        except (InputError, IndexError, AttributeError, KeyError, TypeError):
            raise InputError(f"{source}: not a compiled package, expected what `yt8m compile` writes") from None

    def without_cache(self) -> "Package":
        """The package with KFP's cache off for every step; this is another version."""
        documents = load_documents("package", self.text)
        specs = [documents[0].get("root", {}), *documents[0].get("components", {}).values()]
        for spec in specs:
            for task in spec.get("dag", {}).get("tasks", {}).values():
                task["cachingOptions"] = {}  # as `yt8m compile` writes it: the default of enableCache is false
        return replace(self, text=yaml.safe_dump_all(documents, sort_keys=True, allow_unicode=True, width=120))

    def with_parameters(self, parameters: Mapping[str, Any]) -> "Package":
        """The package with these parameters replaced.

        Raises:
            InputError: the package has no such parameter.
        """
        if unknown := sorted(parameters.keys() - self.parameters.keys()):
            raise InputError(f"the package has no parameter {unknown[0]}, allowed: {', '.join(self.parameters)}")
        return replace(self, parameters={**self.parameters, **parameters})

    @property
    def experiment(self) -> str:
        """Name of the experiment; the parameter may hold its whole YAML entry instead."""
        return str(self.parameters.get("experiment", self.pipeline)).partition(":")[0]

    @property
    def version(self) -> str:
        """Name of the version: the pipeline's name and a hash of the package."""
        return f"{self.pipeline}-{hashlib.sha256(self.text.encode()).hexdigest()[:16]}"
