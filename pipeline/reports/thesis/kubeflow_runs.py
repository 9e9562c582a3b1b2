"""Runs on Kubeflow Pipelines, read from the logs of their Evaluators."""

from pydantic import BaseModel, ValidationError

from models.errors import InputError
from models.training.log import TrainingLog
from pipeline.kubeflow.api.client import Connection
from pipeline.kubeflow.api.kfp_experiments import find_kfp_experiment
from pipeline.kubeflow.api.runs import list_runs
from pipeline.kubeflow.api.scores import read_result
from pipeline.kubeflow.api.workflow import read_workflow
from pipeline.reports.scores import RunScores
from pipeline.reports.thesis.runs import RecordedSettings, Run, Runs
from pipeline.validation import explain


class _Result(BaseModel):
    settings: RecordedSettings
    scores: RunScores
    training_log: TrainingLog


def find_kubeflow_runs(connection: Connection, experiment: str) -> Runs:
    """Reads the runs of a KFP experiment.

    Args:
        connection: connection to the API.
        experiment: name of the KFP experiment.

    Raises:
        InputError: there is no such KFP experiment, or another release wrote a log.
        ApiError: the API cannot be reached.
    """
    runs = Runs()
    for listed_run in list_runs(connection, find_kfp_experiment(connection, experiment)):
        name = f"{listed_run.display_name} ({listed_run.run_id})"
        if listed_run.state != "SUCCEEDED":
            runs.left_out[name] = f"is {listed_run.state or 'PENDING'}"
            continue
        content, why_none = read_result(connection, read_workflow(connection, listed_run.run_id))
        if not content:
            runs.left_out[name] = why_none
            continue
        try:
            result = _Result.model_validate(content)
        except ValidationError as error:
            raise InputError(f"{name}, log of its Evaluator: {explain(error, _Result)}") from None
        runs.finished.append(Run(name, result.settings, result.scores, result.training_log))
    return runs
