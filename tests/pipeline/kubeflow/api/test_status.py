"""`yt8m status` and `yt8m logs`: runs, steps, scores and logs."""

import json
import urllib.request

from kfp_emulator.api import argo
from kfp_emulator.api.server import ApiServer
from pipeline.kubeflow.api.client import UI_ENDPOINT, connect
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
    assert kfp("logs", evaluated, "Tuner")[2] == "error: STEP is 'Tuner', allowed: Trainer, Evaluator\n"
    code, _, err = kfp("logs", "none", "Trainer")
    assert code == 2 and "error: RUN is 'none'" in err and "has no such run" in err


def test_an_error_instead_of_a_log_is_not_printed_as_a_log(kfp, api_server, evaluated):
    api_server.delete_pods(evaluated)  # answered as HTTP 200
    code, out, err = kfp("logs", evaluated, "Evaluator")
    assert (code, out) == (2, "") and err.startswith("error: cannot read the log of Evaluator: http")
    assert "NoSuchKey" in err
    out = kfp("status", evaluated)[1]
    assert "no scores: cannot read the log of Evaluator" in out
    assert "with the UI's address they are read from the object store" in out


def test_logs_and_scores_outlive_pods_through_the_address_of_the_ui(kfp, api_server, evaluated):
    api_server.as_ui = True
    assert "f1 0.7500  gap 0.8000  (from the log of the Evaluator)" in kfp("status", evaluated)[1]
    api_server.delete_pods(evaluated)
    out = kfp("status", evaluated)[1]
    assert "no scores" in out and "Could not get main container logs" in out and "with the UI's address" not in out
    uri = api_server.uri(evaluated, "Evaluator", "executor-logs-1")
    api_server.objects[uri] = f"{log_line(SCORES, {'f1': 0.5})}\n".encode()
    assert kfp("logs", evaluated, "Evaluator") == (0, 'scores {"f1": 0.5}\n', "")
    assert "f1 0.5000  (from the log of the Evaluator)" in kfp("status", evaluated)[1]
    verdict = {"slices": [{"scores": {"f1": 0.6, "gap": float("nan"), "f1/rare": 0.1}}, {"scores": {"f1": 0.1}}]}
    api_server.objects[api_server.uri(evaluated, "Evaluator", "evaluation/verdict.json")] = json.dumps(verdict).encode()
    status = json.loads(kfp("status", evaluated, "--json")[1])
    assert (status["scores"], status["scores_source"]) == ({"f1": 0.6}, "object store")


def test_the_store_is_read_at_the_uis_own_address_too(kfp, api_server, evaluated, monkeypatch):
    with ApiServer(as_ui=True) as ui:
        ui.objects[api_server.uri(evaluated, "Evaluator", "executor-logs-1")] = b"stored\n"
        monkeypatch.setenv(UI_ENDPOINT, ui.url)
        api_server.delete_pods(evaluated)
        assert kfp("logs", evaluated, "Evaluator") == (0, "stored\n", "")
        assert f"link: {ui.url}/#/runs/details/{evaluated}" in kfp("status", evaluated)[1]


def test_open_prints_and_opens_the_addresses_in_the_ui(kfp, api_server, evaluated, open_browser):
    code, _, err = kfp("status", evaluated, "--open")
    assert code == 2 and "--open needs the address of KFP's UI" in err and open_browser == []
    assert "--open needs RUN" in kfp("status", "--open")[2]
    api_server.as_ui = True
    code, out, _ = kfp("status", evaluated, "--open")
    run, trainer, evaluator = (line.split() for line in out.splitlines())
    assert run == ["run", f"{api_server.url}/#/runs/details/{evaluated}"] and open_browser == [run[1]]
    assert (trainer[0], evaluator[0]) == ("Trainer", "Evaluator")
    api_server.objects[api_server.uri(evaluated, "Evaluator", "page")] = b"<html>"
    with urllib.request.urlopen(evaluator[1]) as page:
        assert page.read() == b"<html>"


def test_a_workflow_that_failed_without_a_step_shows_its_message(kfp, api_server, submit):
    run = submit()["run_id"]
    api_server.advance(run, "FAILED", {"Trainer": "PENDING"})
    api_server.workflows[run]["status"] |= {"message": "Stopped with strategy 'Terminate'"}
    out = kfp("status", run)[1]
    assert "Stopped with strategy 'Terminate'\n" in out and "Trainer  PENDING" in out


def test_what_a_pod_waits_for_is_shown(kfp, api_server, submit):
    run = submit()["run_id"]
    api_server.advance(run, "RUNNING", {"Trainer": "RUNNING"}, retries=1)
    [pod] = [node for node in argo.nodes(api_server.workflows[run]) if node["displayName"] == "executor(1)"]
    # assessNodeStatus and getPendingReason of Argo 4.0.7's workflow/controller/operator.go
    reason = "Unschedulable: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
    running = kfp("status", run)[1]
    pod |= {"phase": "Pending", "message": reason}
    assert "waits" not in running and f"\nTrainer waits: {reason}\n" in kfp("status", run)[1]
    lines = []

    def report(line):
        lines.append(line)
        api_server.advance(run, "SUCCEEDED", {"Trainer": "SUCCEEDED"}, retries=1)

    follow(connect(api_server.url), run, report, interval=0)
    assert lines[0].endswith(f"  Trainer: RUNNING (attempt 2, waits: {reason})") and len(lines) == 2


def test_a_driver_that_failed_is_the_reason_of_its_step(kfp, api_server, submit):
    run = submit()["run_id"]
    api_server.advance(run, "FAILED", {"Trainer": "OMITTED", "Evaluator": "PENDING"})
    [driver] = [node for node in argo.nodes(api_server.workflows[run]) if node["displayName"] == "Trainer-driver"]
    driver |= {"type": "Pod", "phase": "Error", "message": "pod deleted"}
    api_server.logs[argo.pod(driver)] = "KFP driver: driver.Container failed: rpc error\n"
    out = kfp("status", run)[1]
    assert "Trainer failed: pod deleted\n    KFP driver: driver.Container failed: rpc error\n" in out
