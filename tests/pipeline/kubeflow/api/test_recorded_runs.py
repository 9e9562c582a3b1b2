"""The commands on what the real API server answered (tests/kfp_emulator/api/recorded)."""

import json

import pytest

from kfp_emulator.api import argo
from kfp_emulator.api.server import RECORDED
from tests.docs.code_blocks import ROOT, blocks, commands

FAILED_LOG = (RECORDED / "log_failed.txt").read_text()
REASON = "which holds no file: the step that wrote it must run again"


@pytest.fixture(params=["API server", "UI"])
def replay(request, api_server, kfp):
    """Adds a recorded run to the API server, which is reached directly and through the UI's; returns its id."""
    api_server.as_ui = request.param == "UI"
    return api_server.replay


@pytest.fixture
def steps(kfp):
    """The steps of a run by name."""

    def read(run):
        code, out, err = kfp("status", run, "--json")
        assert code == 0, err
        return {step["name"]: step for step in json.loads(out)["steps"]}

    return read


def test_all_steps_of_a_run_that_succeeded_are_shown(replay, steps, kfp):
    run = replay("succeeded")
    read = steps(run)
    assert list(read)[:3] == ["ResolveSettings", "ImportSchemaGen", "ExampleGen"] and len(read) == 12
    assert {step["state"] for step in read.values()} == {"SUCCEEDED"}
    assert {step["attempts"] for step in read.values()} == {1}
    assert read["Evaluator"]["pod"] == "yt8m-325d6-metadata-0-2-retry-system-container-impl-3544660951"
    code, out, _ = kfp("status")
    assert code == 0 and run in out and "SUCCEEDED" in out


def test_steps_from_the_cache_are_said(replay, steps, kfp):
    run = replay("mostly_cached")
    read = steps(run)
    cached = {name for name, step in read.items() if step["cached"]}
    assert {"ExampleGen", "Transform", "Trainer"} <= cached and "Evaluator" not in cached
    assert {read[name]["attempts"] for name in cached} == {0}
    assert {read[name]["pod"] for name in cached} == {""}
    assert any(
        line.split()[0] == "Trainer" and line.endswith("cached") for line in kfp("status", run)[1].splitlines()[2:]
    )
    code, _, err = kfp("logs", run, "Trainer")
    assert code == 2 and "Trainer', which is SUCCEEDED and has no log: it was cached" in err


def test_a_killed_step_shows_its_second_attempt(replay, steps, kfp, api_server):
    run = replay("killed_step_retried")
    trainer = steps(run)["Trainer"]
    assert (trainer["state"], trainer["attempts"]) == ("SUCCEEDED", 2)
    assert trainer["pod"] == "yt8m-849a8-metadata-0-2-retry-system-container-impl-3034786006"
    api_server.logs[trainer["pod"]] = "epoch 60\n"
    assert kfp("logs", run, "Trainer") == (0, "epoch 60\n", "")


def test_a_failed_step_shows_its_reason_and_the_end_of_its_log(replay, kfp, api_server):
    run = replay("failed_after_retries")
    pods = [pod for pod, step in pods_of(api_server, run).items() if "DriftDetector.executor(2)" in step]
    api_server.logs[pods[0]] = FAILED_LOG
    code, out, _ = kfp("status", run)
    assert code == 0 and "DriftDetector failed: main: Error (exit code 1); No more retries left\n" in out
    assert REASON in out and "launcher_v2.go" not in out
    assert "Trainer" in out and "OMITTED" in out
    assert json.loads(kfp("status", run, "--json")[1])["error"] == (
        "DriftDetector: main: Error (exit code 1); No more retries left"
    )
    assert kfp("logs", run, "DriftDetector")[1] == FAILED_LOG


def test_a_step_that_is_not_tried_again_shows_its_reason(replay, kfp, api_server):
    run = replay("failed")
    for pod, step in pods_of(api_server, run).items():
        api_server.logs[pod] = f"log of {step}\n"
    out = kfp("status", run)[1]
    assert (
        "ResolveSettings failed: main: Error (exit code 1)\n    log of yt8m-833d3.root.ResolveSettings.executor" in out
    )
    api_server.delete_pods(run)
    out = kfp("status", run)[1]
    assert "ResolveSettings failed: main: Error (exit code 1)\n    cannot read the log of ResolveSettings: http" in out


def test_a_workflow_that_vanished_is_said(replay, kfp, api_server):
    run = replay("workflow_vanished")  # its v1beta1 answer was not recorded: the steps are those of its task_details
    api_server.advance(run, "RUNNING", {"ResolveSettings": "RUNNING"})
    assert "its workflow is gone" not in kfp("status", run)[1]
    api_server.delete_pods(run)
    assert "RUNNING, its workflow is gone (not ended)" in kfp("status", run)[1]


def test_scores_of_a_cached_evaluator_are_read_where_the_pusher_found_its_blessing(kfp, api_server):
    api_server.as_ui = True
    run = api_server.replay("succeeded")
    nodes = api_server.workflows[run]["status"]["nodes"].values()
    [driver] = [node for node in nodes if node["displayName"] == "Evaluator-driver"]
    for parameter in driver["outputs"]["parameters"]:
        parameter["value"] = {"pod-spec-patch": "", "cached-decision": "true"}.get(parameter["name"], "nil")
    uuid = "d92312b9-1864-4860-9095-94ecef7c6c35"
    folder = f"minio://mlpipeline/v2/artifacts/yt8m/{run}/Evaluator/{uuid}"
    verdict = {"slices": [{"scores": {"f1": 0.6}}]}
    api_server.objects[f"{folder}/evaluation/verdict.json"] = json.dumps(verdict).encode()
    assert "f1 0.6000  (from the object store)" in kfp("status", run)[1]
    [asked] = [request.query for request in api_server.requests if request.path == "/artifacts/get"]
    assert (asked["source"], asked["namespace"]) == ("minio", "kubeflow")
    assert json.loads(asked["providerInfo"])["Params"]["secretName"] == "mlpipeline-minio-artifact"


def test_compressed_nodes_are_read_like_others(replay, kfp, api_server):
    run = replay("failed_after_retries")
    plain = kfp("status", run, "--json")
    argo.compress(api_server.workflows[run])
    assert kfp("status", run, "--json") == plain
    api_server.workflows[run]["status"]["compressedNodes"] = "bm90IGd6aXA="
    code, _, err = kfp("status", run)
    assert code == 2 and err.startswith("error: cannot read the workflow of the run: http")


def test_nodes_in_argos_database_are_said(replay, kfp, api_server, submit):
    submit()
    run = replay("succeeded")
    argo.offload(api_server.workflows[run])
    code, out, _ = kfp("status", run)
    assert code == 0 and "SUCCEEDED" in out and "\nno steps: Argo keeps them in a database of its own" in out
    code, _, err = kfp("logs", run, "Trainer")
    assert code == 2 and f"the steps of run {run} cannot be read: Argo keeps them" in err
    api_server.state.runs[run]["experiment_id"] = list(api_server.state.experiments)[-1]
    assert kfp("report", "--kfp-experiment", "yt8m")[0] == 2


def test_runs_that_failed_are_left_out_of_a_report(replay, kfp, api_server, submit):
    submit()
    run = api_server.state.runs[replay("failed")]
    run["experiment_id"] = list(api_server.state.experiments)[-1]
    code, _, err = kfp("report", "--kfp-experiment", "yt8m")
    assert code == 2 and "no run of it has finished" in err


def test_every_documented_command_works_on_a_recorded_run(replay, kfp, api_server, package, open_browser):
    run = replay("succeeded")
    replaced = {"RUN": run, "package.yaml": str(package)}
    documented = [words for block in blocks(ROOT / "docs" / "kubeflow.md") for words in commands(block.text)]
    wanted = [words[1:] for words in documented if words[0] == "yt8m" and "--cluster" not in words]  # else it compiles
    wanted = [[replaced.get(word, word) for word in words] for words in wanted if words[0] not in ("compile", "lint")]
    assert {words[0] for words in wanted} == {"submit", "status", "logs", "schedule"} and len(wanted) > 10
    for words in wanted:
        code, _, err = kfp(*words)
        assert code == (2 if "--open" in words and not api_server.as_ui else 0), (words, err)


def test_several_users_need_their_namespace(replay, kfp, api_server, package):
    api_server.multi_user = True
    run = replay("succeeded")
    assert kfp("logs", run, "Trainer")[0] == kfp("status", run)[0] == 0  # known by their id
    code, _, err = kfp("status")
    assert code == 2 and "has several users (400: " in err and err.endswith("; give --namespace\n")
    for command in (
        ["submit", "--package", package],
        ["schedule", "create", "weekly", "--package", package, "--cron", "0 3 * * 1"],
        ["schedule", "list"],
        ["status"],
    ):
        code, _, err = kfp(*command, "--namespace", "mine")
        assert code == 0, err


def pods_of(api_server, run):
    """Pods of a run, and the full names of their nodes."""
    nodes = api_server.workflows[run]["status"]["nodes"].values()
    return {argo.pod(node): node["name"] for node in nodes if node["type"] == "Pod"}
