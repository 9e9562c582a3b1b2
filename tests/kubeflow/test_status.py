"""`yt8m status` and `yt8m logs`: runs, steps, scores and logs."""

import json

from api_server import ApiServer
from commands import PACKAGE, Yt8m, evaluated, submitted

from pipeline.kubeflow.log_lines import SCORES, log_line


def test_status_shows_runs_and_steps_with_scores(kfp: Yt8m, api_server: ApiServer):
    run = evaluated(kfp, api_server)
    api_server.advance(run, "SUCCEEDED")
    waiting = submitted(kfp("submit", "--package", PACKAGE, "--seed", 1, "--name", "second", "--json"))["run_id"]
    head, latest, first = (line.split() for line in kfp("status")[1].splitlines())
    assert head == ["run", "name", "experiment", "created", "time", "state", "f1", "gap"]
    assert (latest[0], latest[1], latest[-1]) == (waiting, "second", "PENDING")
    assert (first[0], *first[-3:]) == (run, "SUCCEEDED", "0.7500", "0.8000")
    code, out, _ = kfp("status", run)
    steps = {line.split()[0]: line.split()[1:] for line in out.splitlines()[2:4]}
    assert code == 0 and steps["Trainer"][0] == steps["Evaluator"][0] == "SUCCEEDED"
    assert steps["Evaluator"][-1] == "2" and "f1 0.7500  gap 0.8000" in out
    found = json.loads(kfp("status", run, "--json")[1])
    assert found["scores"] == {"f1": 0.75, "gap": 0.8} and found["steps"][1]["attempts"] == 2
    assert [one["run_id"] for one in json.loads(kfp("status", "--last", 1, "--json")[1])] == [waiting]
    assert kfp("status", "--kfp-experiment", "none")[2].startswith("error: --kfp-experiment is 'none': http")


def test_logs_are_those_of_the_last_attempt(kfp: Yt8m, api_server: ApiServer):
    run = evaluated(kfp, api_server)
    assert kfp("logs", run, "Evaluator") == (0, f"INFO x: {log_line(SCORES, {'f1': 0.75, 'gap': 0.8})}\ndone\n", "")
    api_server.logs.clear()
    code, _, err = kfp("logs", run, "Evaluator")
    assert code == 2 and "cannot read the log of Evaluator" in err and "pod run-" in err
    assert "scores" not in kfp("status", run)[1]
    assert kfp("logs", run, "Tuner")[2] == "error: STEP is 'Tuner', allowed: Trainer, Evaluator\n"
    code, _, err = kfp("logs", "none", "Trainer")
    assert code == 2 and "error: RUN is 'none'" in err and "has no such run" in err
