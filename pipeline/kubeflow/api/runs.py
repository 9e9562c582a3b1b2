"""Starts and lists runs."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from kfp_server_api import V2beta1PipelineVersionReference, V2beta1RecurringRun, V2beta1Run, V2beta1RuntimeConfig

from models.errors import InputError
from pipeline.kubeflow.api.client import PAGE_SIZE, Connection
from pipeline.kubeflow.api.errors import ApiError
from pipeline.kubeflow.api.logs import is_gone
from pipeline.kubeflow.api.package import Package
from pipeline.kubeflow.api.workflow import read_workflow

# Final states: no pod of the run works any more.
ENDED = ("SUCCEEDED", "FAILED", "CANCELED", "SKIPPED")

# A user has terminated the run and its pods are stopping; a final state follows (TerminateRun in KFP's
# backend/src/apiserver/storage/run_store.go).
CANCELING = "CANCELING"


def is_under_way(connection: Connection, run: V2beta1Run) -> bool:
    """Whether a run is running or waiting.

    False if it is being cancelled, as its work will not be finished, if its workflow is gone, or if it was deleted.
    """
    if run.state in (*ENDED, CANCELING):
        return False
    try:
        return not is_gone(connection, read_workflow(connection, run.run_id))
    except ApiError:
        return True  # as its state says
    except InputError:
        return False


def start_run(
    connection: Connection,
    version: V2beta1PipelineVersionReference,
    experiment_id: str,
    name: str,
    package: Package,
    description: str = "",
    service_account: str = "",
) -> tuple[V2beta1Run, bool]:
    """Starts a run, unless a run of the same version and parameters is under way.

    Args:
        connection: connection to the API.
        version: the version to run, which is that of the package.
        experiment_id: id of the KFP experiment.
        name: name of the run.
        package: has the parameters of the run and its pipeline root.
        description: description of the run.
        service_account: Kubernetes service account of the steps; empty for KFP's default.

    Returns:
        The run, and whether it is new.

    Raises:
        ApiError: the API rejects the run, or cannot be reached.
    """
    api = connection.client.runs

    def find_run() -> V2beta1Run | None:
        for run in islice(list_runs(connection, experiment_id), PAGE_SIZE):
            reference = run.pipeline_version_reference
            same_version = reference and reference.pipeline_version_id == version.pipeline_version_id
            if same_version and run_parameters(run) == package.parameters and is_under_way(connection, run):
                return run
        return None

    def make_run() -> Any:
        body = V2beta1Run(
            display_name=name,
            description=description,
            experiment_id=experiment_id,
            pipeline_version_reference=version,
            runtime_config=V2beta1RuntimeConfig(
                parameters=dict(package.parameters), pipeline_root=package.pipeline_root or None
            ),
            service_account=service_account or None,
        )
        return connection.call("start a run", api.run_service_create_run, body)

    return connection.create(find_run, make_run)


def list_runs(connection: Connection, experiment_id: str | None) -> Iterator[V2beta1Run]:
    """The runs of a KFP experiment, or of all KFP experiments, latest first."""
    scope = {"experiment_id": experiment_id} if experiment_id else {"namespace": connection.namespace}
    method = connection.client.runs.run_service_list_runs
    return connection.list_all("list runs", method, "runs", sort_by="created_at desc", **scope)


def run_parameters(run: V2beta1Run | V2beta1RecurringRun) -> Mapping[str, Any]:
    """The parameters that a run was started with, or that a recurring run starts its runs with."""
    return (run.runtime_config and run.runtime_config.parameters) or {}
