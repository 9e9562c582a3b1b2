"""Answers that are not Kubeflow Pipelines', as proxies, login pages and other servers give them: one line each."""

import json

import pytest

from pipeline.kubeflow.api import logs

AFTER_CONNECTING = "^(?!.*(healthz|login))"
NOT_KFP = "answers 200: not an answer of Kubeflow Pipelines, perhaps a login page"
PAGE = {"headers": {"Content-Type": "text/html; charset=utf-8"}, "body": b"<!doctype html><title>Sign in</title>"}
ANSWERS = {
    "a page": ({"status": 200, **PAGE}, NOT_KFP),
    "an empty body": ({"status": 200, "body": b""}, NOT_KFP),
    "a list": ({"status": 200, "body": b"[]"}, NOT_KFP),
    "other JSON": (
        {"status": 200, "body": b'{"runs": 3, "pipelines": 3, "experiments": 3, "recurringRuns": 3, "run": 3}'},
        NOT_KFP,
    ),
    "resources without ids": (
        {"status": 200, "body": b'{"runs": [{}], "pipelines": [{}], "experiments": [{}], "recurringRuns": [{}]}'},
        NOT_KFP,
    ),
    "not UTF-8": ({"status": 200, "body": b'{"runs": "\xe9"}'}, NOT_KFP),
    "an unknown encoding": ({"status": 200, "body": b"{}", "headers": {"Content-Type": "a; charset=no-such"}}, NOT_KFP),
    "a proxy's error": ({"status": 502, "body": b"<h1>D\xe9sol\xe9</h1>"}, "answers 502: Bad Gateway"),
    "an error without a body": ({"status": 503, "body": b""}, "answers 503: Service Unavailable"),
    "a cut body": ({"drop": "body"}, "cannot be reached: IncompleteRead("),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_unexpected_answer_is_one_line(kfp, api_server, package, evaluated, answer):
    injected, message = ANSWERS[answer]
    api_server.inject_error("", AFTER_CONNECTING, **injected, times=99)
    for command in (
        ["status"],
        ["status", evaluated],
        ["logs", evaluated, "Evaluator"],
        ["submit", "--package", package],
        ["schedule", "list"],
        ["report", "--kfp-experiment", "yt8m"],
    ):
        code, out, err = kfp(*command)
        assert (code, out, err.count("\n")) == (2, "", 1) and message in err, (command, err)


def test_a_redirect_to_a_login_page_is_not_a_log(kfp, api_server, evaluated):
    login = {"Location": f"{api_server.url}/login"}
    api_server.inject_error("GET", "/log$", status=302, body=b"", headers=login)
    api_server.inject_error("GET", "/login$", status=200, **PAGE)
    code, out, err = kfp("logs", evaluated, "Evaluator")
    assert (code, out) == (2, "") and err.startswith("error: cannot read the log of Evaluator") and NOT_KFP in err


def test_a_redirect_when_connecting_is_one_line(kfp, api_server):
    api_server.inject_error("GET", "/healthz$", status=302, body=b"", headers={"Location": f"{api_server.url}/login"})
    api_server.inject_error("GET", "/login$", status=200, **PAGE)
    code, out, err = kfp("status")
    assert (code, out) == (2, "") and err.startswith("error: cannot connect: ") and NOT_KFP in err


@pytest.mark.parametrize("manifest", ["no JSON", "[]", '{"status": {"nodes": {"a": {"id": "a"}}}}', '{"status": 3}'])
def test_a_workflow_of_another_form_is_one_line(kfp, api_server, evaluated, manifest):
    body = json.dumps({"run": {"id": evaluated}, "pipeline_runtime": {"workflow_manifest": manifest}}).encode()
    api_server.inject_error("GET", "/v1beta1/runs", status=200, body=body)
    code, out, err = kfp("status", evaluated)
    assert (code, out) == (2, "") and err.startswith("error: cannot read the workflow of the run") and NOT_KFP in err


@pytest.mark.parametrize("run", ["none", "a/b?c#d", "..", "00000000-0000-0000-0000-000000000000", ""])
def test_a_run_that_does_not_exist_is_named(kfp, run):
    for command in (["logs", run, "Trainer"], *([["status", run]] if run else [])):
        code, _, err = kfp(*command)
        assert code == 2 and f"error: RUN is {run!r}: http" in err and "has no such run" in err


def test_a_run_that_is_deleted_while_it_is_watched_is_said(kfp, api_server, package, evaluated):
    api_server.inject_error("GET", f"/v2beta1/runs/{evaluated}", status=404, skip=1)
    code, _, err = kfp("submit", "--package", package, "--wait", "--interval", 0)
    assert code == 2 and err.endswith(f"error: run {evaluated} was deleted before it ended\n")


def test_a_run_that_is_deleted_while_runs_are_listed_is_left_out(kfp, api_server, submit, evaluated):
    submit("--seed", 1, "--name", "second")
    api_server.inject_error("GET", f"/v1beta1/runs/{evaluated}", status=404)
    code, out, _ = kfp("status")
    assert code == 0 and "second" in out and evaluated not in out


def test_a_run_of_another_pipeline_is_shown(kfp, api_server, submit):
    run = submit()["run_id"]
    *_, pod = api_server.advance(run, "SUCCEEDED", {"my-driver": "SUCCEEDED", "Evaluator": "SUCCEEDED"})
    api_server.logs[pod] = 'scores {not JSON}\nscores {"f1": "good", "gap": null}\nresult {not JSON}\n'
    api_server.state.runs[run]["runtime_config"] = {}
    status = json.loads(kfp("status", run, "--json")[1])
    assert [step["name"] for step in status["steps"]] == ["my-driver", "Evaluator"]
    assert status["scores"] == {} and "the log of the Evaluator has no scores" in status["scores_source"]
    assert kfp("logs", run, "Trainer")[2] == "error: STEP is 'Trainer', allowed: my-driver, Evaluator\n"
    api_server.as_ui = True
    uri = api_server.uri(run, "Evaluator", "evaluation/verdict.json")
    for verdict in (b'{"slices": [{"scores": {"f1": "good"}}]}', b'{"slices": [3]}', b"[]", b"\xff"):
        api_server.objects[uri] = verdict
        assert "no scores: " in kfp("status", run)[1]
    code, _, err = kfp("report", "--kfp-experiment", "yt8m")
    assert code == 2 and "no run of it has finished" in err


def test_a_log_of_any_bytes_is_printed(kfp, api_server, evaluated):
    *_, pod = api_server.logs
    api_server.logs[pod] = b"caf\xe9 \xff\n" + "é\n".encode() * 40_000
    code, out, _ = kfp("logs", evaluated, "Evaluator")
    assert (code, out) == (0, "caf\ufffd \ufffd\n" + "é\n" * 40_000)
    api_server.logs[pod] = '{"error_message": "of the step"}\n{"error_message": "another"}\n'
    assert kfp("logs", evaluated, "Evaluator")[1] == api_server.logs[pod]


def test_of_a_long_log_the_end_is_searched(kfp, api_server, evaluated, monkeypatch):
    monkeypatch.setattr(logs, "LONGEST_END", 1 << 16)
    *_, pod = api_server.logs
    line = 'scores {"f1": 0.25}\n'
    api_server.logs[pod] = 'scores {"gap": 1.0}\n' + "x" * (1 << 18) + f"\n{line}"
    assert json.loads(kfp("status", evaluated, "--json")[1])["scores"] == {"f1": 0.25}
    api_server.logs[pod] = f"{line}" + "x" * (1 << 18)
    assert json.loads(kfp("status", evaluated, "--json")[1])["scores"] == {}
    assert kfp("logs", evaluated, "Evaluator")[1] == api_server.logs[pod]


def test_a_log_that_breaks_off_is_an_error(kfp, api_server, evaluated):
    *_, pod = api_server.logs
    api_server.logs[pod] = "begun\n"
    api_server.inject_error("GET", "/log$", drop="body")
    code, _, err = kfp("logs", evaluated, "Evaluator")
    assert code == 2 and "cannot read the log of Evaluator" in err and "IncompleteRead" in err


def test_the_log_of_a_failed_step_ends_with_the_reason(kfp, api_server, submit):
    run = submit()["run_id"]
    [pod] = api_server.advance(run, "FAILED", {"Trainer": "FAILED"}, message="main: Error (exit code 2)")
    api_server.logs[pod] = "epoch 1\nerror: Trainer: training diverged\nF1130 00:08:12.719301 1 main.go:130] failed\n"
    code, out, err = kfp("logs", run, "Trainer")
    assert (code, out) == (0, api_server.logs[pod])
    assert err == "Trainer failed: main: Error (exit code 2); error: Trainer: training diverged\n"
