"""Uploads packages as versions of a pipeline and starts runs of them."""

import hashlib
import json
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from kfp_server_api import (
    V2beta1Experiment,
    V2beta1Pipeline,
    V2beta1PipelineVersionReference,
    V2beta1Run,
    V2beta1RuntimeConfig,
)

from models.errors import InputError, quote
from pipeline.files.yaml_text import load_documents
from pipeline.kubeflow.api.client import PAGE_SIZE, Connection

# Ended or about to end; a run in any other state is running or waiting.
ENDED = ("SUCCEEDED", "FAILED", "CANCELING", "CANCELED", "SKIPPED")

# Description of a run that `--if-new-data` started.
_DESCRIPTION = re.compile(r"span (?P<span>\d+) of (?P<pattern>.+)")


@dataclass(frozen=True)
class Package:
    """A compiled package, as `yt8m compile` writes it.

    Attributes:
        text: the YAML.
        pipeline: name of the pipeline.
        parameters: values of a run's parameters, by name.
    """

    text: str
    pipeline: str
    parameters: Mapping[str, Any]

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
            return cls(text, spec["pipelineInfo"]["name"], defaults)
        except (InputError, IndexError, AttributeError, KeyError, TypeError):
            raise InputError(f"{source}: not a compiled package, expected what `yt8m compile` writes") from None

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


def upload(connection: Connection, package: Package) -> tuple[V2beta1PipelineVersionReference, bool]:
    """Uploads the package as a version of its pipeline, unless that version exists.

    Returns:
        The version, and whether it is new.

    Raises:
        ApiError: the API rejects the package, or cannot be reached.
    """
    purpose, api, namespace = "upload the package", connection.client.pipelines, connection.namespace

    def find_pipeline() -> Any:
        by_name = named_filter(package.pipeline)
        method = api.pipeline_service_list_pipelines
        return next(connection.list_all(purpose, method, "pipelines", namespace=namespace, filter=by_name), None)

    def make_pipeline() -> Any:
        body = V2beta1Pipeline(name=package.pipeline, display_name=package.pipeline, namespace=namespace)
        return connection.call(purpose, api.pipeline_service_create_pipeline, body)

    pipeline_id = connection.create(find_pipeline, make_pipeline)[0].pipeline_id

    def find_version() -> Any:
        versions = connection.list_all(
            purpose,
            api.pipeline_service_list_pipeline_versions,
            "pipeline_versions",
            pipeline_id,
            filter=named_filter(package.version),
        )
        return next(versions, None)

    def make_version() -> Any:
        uploads = connection.client.pipeline_uploads
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "package.yaml")
            file.write_text(package.text, "utf-8")
            return connection.call(
                purpose,
                uploads.upload_pipeline_version,
                str(file),
                name=package.version,
                pipelineid=pipeline_id,
                description=f"{package.experiment} on {package.parameters.get('data', '')}",
            )

    version, new = connection.create(find_version, make_version)
    return V2beta1PipelineVersionReference(
        pipeline_id=pipeline_id, pipeline_version_id=version.pipeline_version_id
    ), new


def find_experiment(connection: Connection, name: str) -> str | None:
    """Id of the KFP experiment with this name; None if there is none."""
    method = connection.client.experiments.experiment_service_list_experiments
    namespace, by_name = connection.namespace, named_filter(name)
    experiments = connection.list_all("list experiments", method, "experiments", namespace=namespace, filter=by_name)
    return next((experiment.experiment_id for experiment in experiments), None)


def find_or_create_experiment(connection: Connection, name: str) -> str:
    """Id of the KFP experiment with this name, which is created if there is none."""
    method = connection.client.experiments.experiment_service_create_experiment
    body = V2beta1Experiment(display_name=name, namespace=connection.namespace)
    experiment_id, _ = connection.create(
        lambda: find_experiment(connection, name),
        lambda: connection.call("create the experiment", method, body).experiment_id,
    )
    return str(experiment_id)


def start_run(
    connection: Connection,
    version: V2beta1PipelineVersionReference,
    group: str,
    name: str,
    parameters: Mapping[str, Any],
    description: str = "",
    service_account: str = "",
) -> tuple[V2beta1Run, bool]:
    """Starts a run, unless a run of the same version and parameters is running or waiting.

    Args:
        connection: connection to the API.
        version: the version to run.
        group: id of the KFP experiment.
        name: name of the run.
        parameters: parameters of the run.
        description: description of the run.
        service_account: Kubernetes service account of the steps; empty for KFP's default.

    Returns:
        The run, and whether it is new.
    """
    api = connection.client.runs

    def find_run() -> Any:
        for run in islice(list_runs(connection, group), PAGE_SIZE):
            reference = run.pipeline_version_reference
            same_version = reference and reference.pipeline_version_id == version.pipeline_version_id
            if same_version and run.state not in ENDED and parameters_of(run) == parameters:
                return run
        return None

    def make_run() -> Any:
        body = V2beta1Run(
            display_name=name,
            description=description,
            experiment_id=group,
            pipeline_version_reference=version,
            runtime_config=V2beta1RuntimeConfig(parameters=dict(parameters)),
            service_account=service_account or None,
        )
        return connection.call("start a run", api.run_service_create_run, body)

    return connection.create(find_run, make_run)


def describe_new_data(connection: Connection, group: str, parameters: Mapping[str, Any]) -> str | None:
    """Description of a run on the newest {SPAN} of the data; later calls recognize the run by it.

    Args:
        connection: connection to the API.
        group: id of the KFP experiment.
        parameters: parameters of the requested run; its data must be readable from this machine.

    Returns:
        The description; None if a run of the same experiment on that or a newer span has succeeded or not yet ended.

    Raises:
        InputError: the pattern has no {SPAN}, or the data cannot be read from this machine.
    """
    from components.example_gen.input_files import SPAN, find_files

    pattern = str(parameters.get("data", ""))
    if not SPAN.search(pattern):
        raise InputError(f"data is {quote(pattern)}: --if-new-data needs a pattern with {{SPAN}}")
    newest = find_files(pattern).span
    for run in list_runs(connection, group):
        match = _DESCRIPTION.fullmatch(run.description or "")
        if not match or parameters_of(run).get("experiment") != parameters.get("experiment"):
            continue
        succeeded_or_running = run.state == "SUCCEEDED" or run.state not in ENDED
        if succeeded_or_running and match["pattern"] == pattern and int(match["span"]) >= newest:
            return None
    return f"span {newest} of {pattern}"


def list_runs(connection: Connection, group: str | None) -> Any:
    """The runs of a KFP experiment, or of all experiments, latest first."""
    scope = {"experiment_id": group} if group else {"namespace": connection.namespace}
    method = connection.client.runs.run_service_list_runs
    return connection.list_all("list runs", method, "runs", sort_by="created_at desc", **scope)


def parameters_of(run: V2beta1Run) -> Mapping[str, Any]:
    """The parameters that a run was started with."""
    return (run.runtime_config and run.runtime_config.parameters) or {}


def named_filter(name: str) -> str:
    """A filter for list requests: resources with this display name."""
    return json.dumps({"predicates": [{"operation": "EQUALS", "key": "display_name", "stringValue": name}]})
