"""Runs as Kubeflow Pipelines tells them: the same, out of the logs of their Evaluators."""

from pydantic import BaseModel, ValidationError

from models.errors import InputError
from models.training.log import TrainingLog
from pipeline.kubeflow.api.client import ApiError, Connection
from pipeline.kubeflow.api.status import read_log, read_status
from pipeline.kubeflow.api.submit import find_experiment, runs
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
    """Reads the runs of one of KFP's experiments.

    Args:
        connection: to the API.
        experiment: of Kubeflow Pipelines.

    Raises:
        InputError: there is no such experiment, or a log is another release's.
        ApiError: the API cannot be reached.
    """
    group = find_experiment(connection, experiment)
    if group is None:
        raise InputError(f"--kfp-experiment is {experiment!r}: {connection.endpoint} has no such experiment")
    found = Runs()
    for listed in runs(connection, group):
        status = read_status(connection, listed.run_id)
        name = f"{status.name} ({status.run_id})"
        if status.state != "SUCCEEDED":
            found.left_out[name] = f"is {status.state}"
            continue
        try:
            result = find_line(RESULT, read_log(connection, status.run_id, status.step(Step.EVALUATOR)))
        except ApiError as error:
            if error.status == 0:
                raise
            result = {}
        except InputError:  # taken from KFP's cache, so there is another run with this result
            result = {}
        if not result:
            found.left_out[name] = "has no log of its Evaluator (any more)"
            continue
        try:
            known = _Result.model_validate(result)
        except ValidationError as error:
            raise InputError(f"{name}: the log of its Evaluator: {explain(error, _Result)}") from None
        found.finished.append(Run(name, known.settings, known.scores, known.training_log))
    return found
