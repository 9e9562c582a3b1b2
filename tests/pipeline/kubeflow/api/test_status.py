"""`yt8m status` and `yt8m logs`: runs, steps, scores and logs."""

import json

from pipeline.kubeflow.api.client import connect
from pipeline.kubeflow.api.status import follow
from pipeline.kubeflow.log_lines import SCORES, log_line


def test_status_shows_runs_and_steps_with_scores(kfp, api_server, submit, evaluated):
    api_server.advance(evaluated, "SUCCEEDED")
    waiting = submit("--seed", 1, "--name", "second")["run_id"]
    head, latest, first = (line.split() for line in kfp("status")[1].splitlines())
    assert head == ["run", "name", "experiment", "created", "time", "state", "f1", "gap"]
    assert (latest[0], latest[1], latest[-1]) == (waiting, "second", "PENDING")
    assert (first[0], *first[-3:]) == (evaluated, "SUCCEEDED", "0.7500", "0.8000")
    code, out, _ = kfp("status", evaluated)
    steps = {line.split()[0]: line.split()[1:] for line in out.splitlines()[2:4]}
    assert code == 0 and steps["Trainer"][0] == steps["Evaluator"][0] == "SUCCEEDED"
    assert steps["Evaluator"][-1] == "2" and "f1 0.7500  gap 0.8000" in out
    status = json.loads(kfp("status", evaluated, "--json")[1])
    assert status["scores"] == {"f1": 0.75, "gap": 0.8} and status["steps"][1]["attempts"] == 2
    assert [run["run_id"] for run in json.loads(kfp("status", "--last", 1, "--json")[1])] == [waiting]
    assert kfp("status", "--kfp-experiment", "none")[2].startswith("error: --kfp-experiment is 'none': http")


def test_a_run_that_is_being_cancelled_has_not_ended(kfp, api_server, evaluated):
    api_server.advance(evaluated, "CANCELING")
    lines = []

    def report(line):
        lines.append(line)
        api_server.advance(evaluated, "FAILED")

    code, out, _ = kfp("status", evaluated)
    assert code == 0 and "CANCELING (not ended)" in out
    status = follow(connect(api_server.url), evaluated, report, interval=0)
    assert lines and status.state == "FAILED"


def test_logs_prints_the_log_of_the_last_attempt(kfp, api_server, evaluated):
    assert kfp("logs", evaluated, "Evaluator") == (
        0,
        f"INFO x: {log_line(SCORES, {'f1': 0.75, 'gap': 0.8})}\ndone\n",
        "",
    )
    api_server.logs.clear()
    code, _, err = kfp("logs", evaluated, "Evaluator")
    assert code == 2 and "cannot read the log of Evaluator" in err and "pod run-" in err
    assert "scores" not in kfp("status", evaluated)[1]
    assert kfp("logs", evaluated, "Tuner")[2] == "error: STEP is 'Tuner', allowed: Trainer, Evaluator\n"
    code, _, err = kfp("logs", "none", "Trainer")
    assert code == 2 and "error: RUN is 'none'" in err and "has no such run" in err


def test_steps_are_distinguished_from_other_nodes_of_argos_workflow(kfp, api_server, submit):
    run = submit()["run_id"]

    def node(pod, name, state, *children):
        times = {"start_time": "2026-01-01T00:00:00Z", "end_time": "2026-01-01T01:01:01Z"}
        tasks = {"_task": "", "child_tasks": [{"pod_name": child} for child in children]}
        return {"run_id": run, "pod_name": pod, "display_name": name, "state": state} | times | tasks

    nodes = [
        node("p0", "root", "RUNNING", "p1", "p4"),
        node("p1", "root-driver", "SUCCEEDED", "p2"),
        node("p2", "ExampleGen-driver", "SUCCEEDED", "p3"),
        node("p3", "ExampleGen", "SUCCEEDED", "p4"),
        node("p4", "executor", "SKIPPED", "p5"),  # found in the cache
        node("p5", "Trainer-driver", "SUCCEEDED", "p6"),
        node("p6", "Trainer", "FAILED", "p7"),
        node("p7", "executor", "FAILED", "p8", "p9", "p10"),  # all attempts
        node("p8", "executor(0)", "FAILED"),
        node("p9", "executor(10)", "FAILED", "p5"),
        node("p10", "executor(2)", "FAILED"),
    ]
    api_server.advance(run, "RUNNING")
    api_server.state.runs[run]["run_details"]["task_details"] = nodes
    steps = json.loads(kfp("status", run, "--json")[1])["steps"]
    assert [(step["name"], step["state"], step["attempts"], step["pod"], step["seconds"]) for step in steps] == [
        ("ExampleGen", "SUCCEEDED", 0, "", 3661),
        ("Trainer", "FAILED", 3, "p9", 3661),
    ]
    assert "which is SUCCEEDED and has no log" in kfp("logs", run, "ExampleGen")[2]
