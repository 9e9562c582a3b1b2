"""KFP experiments: the groups in which KFP's UI shows runs."""

from kfp_server_api import V2beta1Experiment

from models.errors import InputError
from pipeline.kubeflow.api.client import Connection, filter_by_name


def find_kfp_experiment(connection: Connection, name: str) -> str:
    """Id of the KFP experiment with this name.

    Raises:
        InputError: there is no such KFP experiment.
        ApiError: the API rejects the request, or cannot be reached.
    """
    experiment_id = _find(connection, name)
    if experiment_id is None:
        raise InputError(f"--kfp-experiment is {name!r}: {connection.endpoint} has no such experiment")
    return experiment_id


def find_or_create_kfp_experiment(connection: Connection, name: str) -> str:
    """Id of the KFP experiment with this name, which is created if there is none."""
    method = connection.client.experiments.experiment_service_create_experiment
    body = V2beta1Experiment(display_name=name, namespace=connection.namespace)
    experiment_id, _ = connection.create(
        lambda: _find(connection, name),
        lambda: connection.call("create the experiment", method, body).experiment_id,
    )
    return str(experiment_id)


def _find(connection: Connection, name: str) -> str | None:
    method = connection.client.experiments.experiment_service_list_experiments
    namespace, by_name = connection.namespace, filter_by_name(name)
    experiments = connection.list_all("list experiments", method, "experiments", namespace=namespace, filter=by_name)
    return next((experiment.experiment_id for experiment in experiments), None)
