"""Runs on Kubeflow Pipelines, read from the logs of their Evaluators."""

from pydantic import BaseModel, ValidationError

from models.errors import InputError
from models.training.log import TrainingLog
from pipeline.kubeflow.api.client import ApiError, Connection
from pipeline.kubeflow.api.kfp_experiments import find_kfp_experiment
from pipeline.kubeflow.api.runs import list_runs
from pipeline.kubeflow.api.status import read_log, read_status
from pipeline.kubeflow.log_lines import RESULT, find_line
from pipeline.reports.scores import RunScores
from pipeline.reports.thesis.runs import RecordedSettings, Run, Runs
from pipeline.steps import Step
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
        status = read_status(connection, listed_run.run_id)
        name = f"{status.name} ({status.run_id})"
        if status.state != "SUCCEEDED":
            runs.left_out[name] = f"is {status.state}"
            continue
        try:
            content = find_line(RESULT, read_log(connection, status.run_id, status.step(Step.EVALUATOR)))
        except ApiError as error:
            if error.status == 0:  # no response
                raise
            content = {}
        except InputError:  # cached by KFP, so another run has this result
            content = {}
        if not content:
            runs.left_out[name] = "has no log of its Evaluator (any more)"
            continue
        try:
            result = _Result.model_validate(content)
        except ValidationError as error:
            raise InputError(f"{name}, log of its Evaluator: {explain(error, _Result)}") from None
        runs.finished.append(Run(name, result.settings, result.scores, result.training_log))
    return runs
