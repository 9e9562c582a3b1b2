"""`yt8m submit`: uploads a package and starts a run, once each."""

import json

import pytest
import yaml

from pipeline.kubeflow.api.client import connect
from pipeline.kubeflow.api.status import follow


def test_a_package_becomes_a_version_and_a_run_in_the_experiment(kfp, api_server, package):
    api_server.as_ui = True
    code, out, err = kfp("submit", "--package", package, "--kfp-experiment", "videos", "--name", "first")
    assert (code, err) == (0, "")
    [run] = api_server.state.runs.values()
    assert out.splitlines()[1:] == [f"run: {run['run_id']}", f"link: {api_server.url}/#/runs/details/{run['run_id']}"]
    experiment = api_server.state.experiments[run["experiment_id"]]
    assert (run["display_name"], experiment["display_name"]) == ("first", "videos")
    [version] = api_server.state.versions.values()
    assert out.startswith(f"version: {version['name']}\n") and version["name"].startswith("yt8m-")
    stored = version["pipeline_spec"]
    assert [stored["pipeline_spec"], stored["platform_spec"]] == list(yaml.safe_load_all(package.read_text()))
    parameters = run["runtime_config"]["parameters"]
    assert parameters["experiment"] == "netvlad-8" and parameters.keys() == {"data", "experiment", "overrides"}
    # The backend does not read the package's own defaultPipelineRoot.
    assert run["runtime_config"]["pipeline_root"] == stored["pipeline_spec"]["defaultPipelineRoot"]


def test_a_run_without_the_cache_is_one_of_another_version(submit, api_server, package):
    cached, uncached = submit(), submit("--no-cache")
    assert uncached["started"] and uncached["version"] != cached["version"]
    *_, version = api_server.state.versions.values()
    spec, original = version["pipeline_spec"]["pipeline_spec"], next(yaml.safe_load_all(package.read_text()))
    tasks = spec["root"]["dag"]["tasks"].values()
    assert len(tasks) == 12 and not any(task["cachingOptions"].get("enableCache") for task in tasks)
    for task in (*tasks, *original["root"]["dag"]["tasks"].values()):
        del task["cachingOptions"]
    assert spec == original
    assert not submit("--no-cache")["started"]


def test_a_run_whose_workflow_is_gone_is_not_joined(submit, kfp, package, api_server):
    gone = submit()["run_id"]
    api_server.advance(gone, "RUNNING", {"Trainer": "RUNNING"})
    assert submit()["run_id"] == gone
    api_server.delete_pods(gone)
    second = submit()
    assert second["started"] and second["run_id"] != gone
    status = json.loads(kfp("status", gone, "--json")[1])
    assert (status["state"], status["workflow_gone"]) == ("RUNNING", True)
    assert "RUNNING, its workflow is gone" in kfp("status")[1]


def test_waiting_ends_when_the_workflow_is_gone(submit, api_server):
    run = submit()["run_id"]
    api_server.advance(run, "RUNNING", {"Trainer": "RUNNING"})
    lines = []

    def report(line):
        lines.append(line)
        api_server.delete_pods(run)

    assert follow(connect(api_server.url), run, report, interval=0).workflow_gone and len(lines) == 1


def test_steps_run_as_the_given_service_account(submit, api_server):
    submit("--service-account", "yt8m-pipeline")
    [run] = api_server.state.runs.values()
    assert run["service_account"] == "yt8m-pipeline"


def test_options_beside_a_package_become_parameters_of_the_run(submit, api_server):
    submit("--data", "/mnt/yt8m/other", "--set", "training.max_epochs=3", "--seed", 1)
    [run] = api_server.state.runs.values()
    parameters = run["runtime_config"]["parameters"]
    assert parameters["data"] == "/mnt/yt8m/other"
    assert json.loads(parameters["overrides"])[-2:] == ["seed=1", "training.max_epochs=3"]


def test_submitting_twice_uploads_and_starts_once(submit, api_server):
    first = submit()
    assert (first["uploaded"], first["started"]) == (True, True)
    before = len(api_server.changes)
    again = submit()
    assert len(api_server.changes) == before
    assert again == first | {"uploaded": False, "started": False}
    api_server.advance(first["run_id"], "FAILED")
    restarted = submit()
    assert (restarted["uploaded"], restarted["started"]) == (False, True) and len(api_server.state.versions) == 1


def test_a_run_that_is_being_cancelled_is_not_joined(submit, api_server):
    first = submit()
    api_server.advance(first["run_id"], "CANCELING")
    second = submit()
    assert second["started"] and second["run_id"] != first["run_id"]


def test_submit_compiles_a_package(kfp, api_server, cluster_file):
    options = ["--cluster", cluster_file(), "--data", "/mnt/yt8m/span-{SPAN}/*", "--experiment", "netvlad-8"]
    code, out, err = kfp("submit", *options, "--set", "training.max_epochs=2")
    assert code == 0 and "no resume" in err
    [run] = api_server.state.runs.values()
    assert run["runtime_config"]["parameters"] == {
        "data": "/mnt/yt8m/span-{SPAN}/*",
        "experiment": "netvlad-8",
        "overrides": '["training.max_epochs=2"]',
    }
    code, again, _ = kfp("submit", *options, "--set", "training.max_epochs=2")
    assert again.splitlines()[0] == f"{out.splitlines()[0]} (already uploaded)"


@pytest.mark.parametrize("drop", ["request", "response"])
@pytest.mark.parametrize("path", ["/pipelines$", "/upload_version$", "/experiments$", "/runs$"])
def test_a_dropped_connection_creates_nothing_twice(submit, api_server, drop, path):
    api_server.inject_error("POST", path, drop=drop)
    submit("--kfp-experiment", "videos")
    state = api_server.state
    created = [len(kind) for kind in (state.pipelines, state.versions, state.experiments, state.runs)]
    assert created == [1, 1, 2, 1]  # KFP has a default experiment


def test_wait_reports_steps_scores_and_the_end(kfp, api_server, package, evaluated):
    api_server.advance_when_read(evaluated, "SUCCEEDED")
    api_server.inject_error("GET", f"v2beta1/runs/{evaluated}", status=503)
    code, out, err = kfp("submit", "--package", package, "--wait", "--interval", 0)
    assert code == 0, err
    assert out.count("Trainer: SUCCEEDED") == 1 and out.count("answers 503: broken on purpose; retrying") == 1
    assert out.endswith("f1 0.7500  gap 0.8000  (from the log of the Evaluator)\n")


def test_waiting_for_a_failed_run_ends_with_its_error_and_exit_code_1(kfp, api_server, package, evaluated):
    api_server.advance_when_read(evaluated, "FAILED", {"Pusher": "FAILED"}, message="OOMKilled (exit code 137)")
    code, out, err = kfp("submit", "--package", package, "--wait", "--interval", 0, "--json")
    assert (code, json.loads(out)["error"]) == (1, "Pusher: OOMKilled (exit code 137)")
    assert "Pusher: FAILED (OOMKilled (exit code 137))" in err
    assert err.endswith(f"error: run {evaluated} is FAILED: Pusher: OOMKilled (exit code 137)\n")


def test_waiting_for_a_failed_run_shows_the_end_of_the_log_of_its_step(kfp, api_server, package, evaluated):
    [pod] = api_server.advance(evaluated, "RUNNING", {"Pusher": "RUNNING"})
    api_server.logs[pod] = "pushing\nerror: Pusher: no space was left on the disk\n"
    api_server.advance_when_read(evaluated, "FAILED", {"Pusher": "FAILED"})
    code, out, _ = kfp("submit", "--package", package, "--wait", "--interval", 0)
    assert code == 1
    assert "Pusher failed: main: Error (exit code 1)\n    pushing\n    error: Pusher: no space was left on the" in out


def test_wait_reports_each_attempt_and_its_reason(kfp, api_server, package, evaluated):
    api_server.advance(evaluated, "RUNNING", {"Pusher": "RUNNING"}, retries=1)
    api_server.advance_when_read(evaluated, "SUCCEEDED", {"Pusher": "SUCCEEDED"}, retries=1)
    code, out, _ = kfp("submit", "--package", package, "--wait", "--interval", 0)
    assert code == 0 and "Pusher: SUCCEEDED (attempt 2, main: Error (exit code 1))" in out


def test_waiting_ends_when_the_api_stays_unavailable(kfp, api_server, package):
    api_server.inject_error("GET", "/runs/", status=503, times=1000)
    code, _, err = kfp("submit", "--package", package, "--wait", "--interval", 0)
    assert code == 2 and err.count("error: cannot read the run") == 1


def test_a_file_without_a_package_is_refused(kfp, api_server, package, tmp_path):
    (tmp_path / "other.yaml").write_text("a: 1")
    code, _, err = kfp("submit", "--package", tmp_path / "other.yaml")
    assert code == 2 and err.endswith(": not a compiled package, expected what `yt8m compile` writes\n")
    (tmp_path / "other.yaml").write_text(package.read_text().replace("schemaVersion: 2.1.0", "schemaVersion: 2.0.0"))
    code, _, err = kfp("submit", "--package", tmp_path / "other.yaml")
    assert code == 2 and err.endswith("which would not run: schemaVersion is '2.0.0', KFP reads 2.1.0\n")
    assert api_server.requests == []  # before it connects
    code, _, err = kfp("schedule", "create", "weekly", "--cron", "0 3 * * 1", "--package", tmp_path / "other.yaml")
    assert code == 2 and "which would not run" in err and api_server.requests == []
