import json
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import kfp
import kfp_server_api
import pytest
import yaml
from kfp import kubernetes
from urllib3.exceptions import HTTPError

from kfp_emulator.api import argo
from kfp_emulator.api.server import RECORDED, ApiServer
from kfp_emulator.emulator import Emulator
from kfp_emulator.tests.small_components import shell, writer

ApiException = kfp_server_api.ApiException


@pytest.fixture
def client(api_server: ApiServer) -> kfp.Client:
    return kfp.Client(host=api_server.url)


@pytest.fixture
def package(compiled: Callable[..., Path]) -> Path:
    def pipeline(metadata: str = "{}"):
        writer(metadata=metadata)
        kubernetes.mount_pvc(shell(script="true"), pvc_name="data", mount_path="/data")

    return compiled(pipeline)


def error_body(failure: ApiException) -> dict:
    return json.loads(failure.body)


def test_versions_of_a_pipeline_are_listed_found_and_unique(api_server: ApiServer, client: kfp.Client, package: Path):
    pipeline = client.upload_pipeline(str(package), pipeline_name="videos")
    version = client.upload_pipeline_version(str(package), "second", pipeline_id=pipeline.pipeline_id)
    assert client.get_pipeline_id("videos") == pipeline.pipeline_id
    assert client.get_pipeline_id("other") is None
    listed = client.list_pipeline_versions(pipeline.pipeline_id, sort_by="created_at desc").pipeline_versions
    assert [version.display_name for version in listed] == ["second", "videos"]
    stored = client.get_pipeline_version(pipeline.pipeline_id, version.pipeline_version_id).pipeline_spec
    assert list(stored) == ["pipeline_spec", "platform_spec"]
    for upload in (
        lambda: client.upload_pipeline(str(package), pipeline_name="videos"),
        lambda: client.upload_pipeline_version(str(package), "second", pipeline_id=pipeline.pipeline_id),
    ):
        with pytest.raises(ApiException) as failure:
            upload()
        assert failure.value.status == 409 and "error_message" in error_body(failure.value)


def test_a_package_of_another_schema_version_is_rejected(client: kfp.Client, package: Path):
    documents = list(yaml.safe_load_all(package.read_text()))
    documents[0]["schemaVersion"] = "2.0.0"
    package.write_text(yaml.safe_dump_all(documents))
    with pytest.raises(ApiException) as failure:
        client.upload_pipeline(str(package), pipeline_name="videos")
    assert failure.value.status == 400
    assert "only supports schema version 2.1.0" in error_body(failure.value)["error_message"]


def test_a_run_goes_through_its_states(api_server: ApiServer, client: kfp.Client, package: Path):
    run = client.create_run_from_pipeline_package(
        str(package), {"metadata": "{}"}, experiment_name="videos", pipeline_root="minio://b/root"
    )
    sent = api_server.requests[-1].body
    assert sent["runtime_config"] == {"parameters": {"metadata": "{}"}, "pipeline_root": "minio://b/root"}
    assert client.get_run(run.run_id).state == "PENDING"
    api_server.advance(run.run_id, "RUNNING", {"writer": "SUCCEEDED", "shell": "RUNNING"})
    nodes = client.get_run(run.run_id).run_details.task_details
    names = {node.display_name for node in nodes}
    assert names == {"root", "writer", "writer-driver", "executor", "executor(0)", "shell", "shell-driver"}
    assert {node.pod_name for node in nodes} == {None}
    api_server.advance(run.run_id, "FAILED", {"shell": "FAILED"}, retries=1)
    ended = client.wait_for_run_completion(run.run_id, timeout=600)
    assert (ended.state, ended.error) == ("FAILED", None)
    assert [node.display_name for node in ended.run_details.task_details][-2:] == ["executor(0)", "executor(1)"]
    assert [status.state for status in ended.state_history] == ["PENDING", "RUNNING", "FAILED"]


def test_the_emulator_executes_a_run_that_a_client_started(
    api_server: ApiServer, client: kfp.Client, compiled: Callable[..., Path], emulator: Callable[..., Emulator]
):
    def pipeline(script: str):
        shell(script=script).set_retry(1)

    pipeline_id = client.upload_pipeline(str(compiled(pipeline)), pipeline_name="small").pipeline_id
    (version,) = client.list_pipeline_versions(pipeline_id).pipeline_versions
    run = client.run_pipeline(
        client.create_experiment("videos").experiment_id,
        "run",
        params={"script": "echo no; exit 3"},
        pipeline_id=pipeline_id,
        version_id=version.pipeline_version_id,
    )
    api_server.execute(run.run_id, emulator())
    ended = client.get_run(run.run_id)
    states = {node.display_name: node.state for node in ended.run_details.task_details}
    assert (ended.state, ended.error) == ("FAILED", None)
    assert states == {
        "root": "RUNNING",
        "shell": "FAILED",
        "shell-driver": "SUCCEEDED",
        "executor": "FAILED",
        "executor(0)": "FAILED",
        "executor(1)": "FAILED",
    }
    assert list(api_server.logs.values())[-1] == "no\n"


def test_runs_are_listed_by_experiment_filter_and_page(client: kfp.Client, package: Path):
    pipeline = client.upload_pipeline(str(package), pipeline_name="videos")
    (version,) = client.list_pipeline_versions(pipeline.pipeline_id).pipeline_versions
    mine, other = client.create_experiment("mine"), client.create_experiment("other")
    for number in range(5):
        client.run_pipeline(
            (mine if number else other).experiment_id,
            f"run {number}",
            pipeline_id=pipeline.pipeline_id,
            version_id=version.pipeline_version_id,
        )
    first = client.list_runs(experiment_id=mine.experiment_id, page_size=3, sort_by="created_at desc")
    second = client.list_runs(
        experiment_id=mine.experiment_id, page_size=3, sort_by="created_at desc", page_token=first.next_page_token
    )
    names = [run.display_name for run in [*first.runs, *second.runs]]
    assert names == ["run 4", "run 3", "run 2", "run 1"] and second.next_page_token is None
    equal = {"operation": "EQUALS", "key": "display_name", "stringValue": "run 0"}
    assert [run.display_name for run in client.list_runs(filter=json.dumps({"predicates": [equal]})).runs] == ["run 0"]


def test_a_terminated_run_is_being_cancelled(client: kfp.Client, package: Path):
    run = client.create_run_from_pipeline_package(str(package), experiment_name="videos").run_id
    client.terminate_run(run)
    assert client.get_run(run).state == "CANCELING"
    with pytest.raises(ApiException) as failure:
        client.terminate_run(run)
    assert failure.value.status == 400


def test_a_run_without_a_required_parameter_is_rejected(client: kfp.Client, compiled: Callable[..., Path]):
    def pipeline(metadata: str):
        writer(metadata=metadata)

    with pytest.raises(ApiException) as failure:
        client.create_run_from_pipeline_package(str(compiled(pipeline)), experiment_name="videos")
    assert failure.value.status == 400 and error_body(failure.value)["code"] == 3
    assert "neither default value nor user provided value" in error_body(failure.value)["message"]


def test_a_recurring_run_is_paused_resumed_ticked_and_deleted(api_server: ApiServer, client: kfp.Client, package: Path):
    pipeline = client.upload_pipeline(str(package), pipeline_name="videos")
    (version,) = client.list_pipeline_versions(pipeline.pipeline_id).pipeline_versions
    recurring = client.create_recurring_run(
        client.create_experiment("videos").experiment_id,
        "weekly",
        cron_expression="0 0 3 * * 1",
        max_concurrency=1,
        no_catchup=True,
        params={"metadata": '{"at": "[[ScheduledTime]]"}'},
        pipeline_id=pipeline.pipeline_id,
        version_id=version.pipeline_version_id,
    )
    key = recurring.recurring_run_id
    assert (recurring.status, recurring.max_concurrency) == ("ENABLED", "1")
    client.disable_recurring_run(key)
    assert api_server.tick(key) is None
    client.enable_recurring_run(key)
    run = client.get_run(api_server.tick(key)["run_id"])
    assert run.recurring_run_id == key and "[[" not in run.runtime_config.parameters["metadata"]
    assert [listed.display_name for listed in client.list_recurring_runs().recurring_runs] == ["weekly"]
    client.delete_recurring_run(key)
    with pytest.raises(ApiException) as failure:
        client.get_recurring_run(key)
    assert failure.value.status == 404


@pytest.mark.parametrize(
    ("settings", "reason"),
    [({"cron_expression": "0 3 * * 1"}, "not a supported format"), ({"max_concurrency": 11}, "in the range")],
)
def test_an_invalid_schedule_is_rejected(client: kfp.Client, package: Path, settings: dict, reason: str):
    settings = {"cron_expression": "0 0 3 * * 1", "max_concurrency": 1} | settings
    with pytest.raises(ApiException, match=reason):
        client.create_recurring_run(
            client.create_experiment("videos").experiment_id, "weekly", pipeline_package_path=str(package), **settings
        )


@pytest.mark.parametrize("status", [401, 403, 404, 409, 500, 503])
def test_an_injected_error_occurs_once(api_server: ApiServer, client: kfp.Client, status: int):
    api_server.inject_error("GET", "/experiments", status=status, message="not now")
    with pytest.raises(ApiException) as failure:
        client.list_experiments()
    assert failure.value.status == status and error_body(failure.value)["message"] == "not now"
    assert client.list_experiments().total_size == 1


def test_requests_without_the_right_token_are_rejected(api_server: ApiServer):
    api_server.token = "right"
    client = kfp.Client(host=api_server.url, existing_token="right")
    assert client.list_experiments().total_size == 1
    api_server.token = "another"  # it has expired
    with pytest.raises(ApiException) as failure:
        client.list_experiments()
    assert failure.value.status == 401 and error_body(failure.value)["code"] == 16


@pytest.mark.parametrize(("drop", "runs"), [("request", 0), ("response", 1)])
def test_a_dropped_connection_creates_a_run_or_not(
    api_server: ApiServer, client: kfp.Client, package: Path, drop: str, runs: int
):
    experiment = client.create_experiment("videos")
    api_server.inject_error("POST", "/runs$", drop=drop)
    with pytest.raises(HTTPError):
        client.run_pipeline(experiment.experiment_id, "run", str(package))
    assert len(api_server.state.runs) == runs


def read(address: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(address) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_logs_and_objects_are_read_as_from_the_api_server_and_the_uis(
    api_server: ApiServer, client: kfp.Client, package: Path
):
    run = client.create_run_from_pipeline_package(str(package), experiment_name="videos").run_id
    [pod] = api_server.advance(run, "RUNNING", {"shell": "RUNNING"})
    api_server.logs[pod] = "epoch 1\n"
    api_server.objects["minio://b/root/scores.json"] = b"{}"
    log, of_ui = f"/apis/v1alpha1/runs/{run}/nodes/{pod}/log", f"/k8s/pod/logs?podname={pod}&runid={run}"
    stored = "/artifacts/get?source=minio&bucket=b&key=root%2Fscores.json"
    [manifest] = json.loads(read(f"{api_server.url}/apis/v1beta1/runs/{run}")[1])["pipeline_runtime"].values()
    assert "executor(0)" in {node["displayName"] for node in json.loads(manifest)["status"]["nodes"].values()}
    assert read(api_server.url + log) == (200, "epoch 1\n")
    assert read(api_server.url + stored)[0] == 404
    api_server.as_ui = True
    assert read(f"{api_server.url}/apis/v1beta1/runs/{run}")[0] == 200
    assert [read(api_server.url + path) for path in (of_ui, stored)] == [(200, "epoch 1\n"), (200, "{}")]
    assert read(api_server.url + log)[0] == 404
    api_server.delete_pods(run)
    assert read(api_server.url + of_ui)[0] == 500
    api_server.as_ui = False
    status, error = read(api_server.url + log)
    assert (status, "NoSuchKey" in json.loads(error)["error_message"]) == (200, True)


def test_several_users_need_a_namespace(api_server: ApiServer, client: kfp.Client):
    api_server.multi_user = True
    with pytest.raises(ApiException) as failure:
        client.list_runs()
    assert failure.value.status == 400 and "cannot have an empty namespace" in error_body(failure.value)["message"]
    assert client.list_runs(namespace="mine").total_size == 0


@pytest.mark.parametrize(
    "name", ["succeeded", "failed", "failed_after_retries", "killed_step_retried", "mostly_cached", "workflow_vanished"]
)
def test_recorded_answers_have_the_form_of_the_servers(
    api_server: ApiServer, client: kfp.Client, package: Path, name: str
):
    recorded = client.get_run(api_server.replay(name))
    run = client.create_run_from_pipeline_package(str(package), experiment_name="videos").run_id
    api_server.advance(run, "FAILED", {"shell": "FAILED", "writer": "OMITTED"}, retries=1)
    own = client.get_run(run)
    assert recorded.error is own.error is None
    for details in (recorded.run_details.task_details, own.run_details.task_details):
        assert not any(task.pod_name for task in details)
    of_node = {
        key for node in api_server.workflows[run]["status"]["nodes"].values() for key in node if key != "templateScope"
    }
    for node in api_server.workflows.get(recorded.run_id, {"status": {"nodes": {}}})["status"]["nodes"].values():
        assert {"id", "name", "displayName", "type", "templateName", "phase", "startedAt"} <= node.keys() & of_node
        workflow, dot, _ = node["name"].partition(".")
        assert node["id"] == (argo.node_id(workflow, node["name"]) if dot else workflow)


def test_lists_have_the_fields_of_recorded_ones(api_server: ApiServer, client: kfp.Client, package: Path):
    client.create_run_from_pipeline_package(str(package), experiment_name="videos")
    recorded = json.loads((RECORDED / "lists.json").read_text())
    for kind in ("experiments", "runs"):
        own = json.loads(read(f"{api_server.url}/apis/v2beta1/{kind}?page_size=3")[1])
        assert own.keys() <= recorded[kind].keys()
        written = {"pipeline_spec"}  # instead of a version, as this client does
        assert own[kind][0].keys() - written <= set().union(*recorded[kind][kind])
    status, error = read(f"{api_server.url}/apis/v2beta1/runs/00000000-0000-0000-0000-000000000000")
    assert status == 404 and json.loads(error).keys() == recorded["unknown_run"].keys()
    assert api_server.healthz.keys() <= recorded["healthz"].keys()


def test_the_health_check_distinguishes_an_older_backend(api_server: ApiServer, client: kfp.Client):
    assert client.get_kfp_healthz().pipeline_store == "database"
    api_server.healthz = {"multi_user": False}
    assert client.get_kfp_healthz().pipeline_store is None
