"""`yt8m submit`, `schedule`, `status` and `logs` against the API, as a shell would call them."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Timer

import pytest
import yaml
from api_server import ApiServer

from pipeline.command_line import main
from pipeline.kubeflow import client as kfp_client
from pipeline.kubeflow.scores_line import scores_line

PACKAGE = Path(__file__).parents[1] / "pipeline" / "kubeflow" / "netvlad-8.yaml"
WEEKLY = ["--cron", "0 3 * * 1", "--package", PACKAGE]

Yt8m = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No cluster around, and no waiting."""
    for name in (
        "KF_PIPELINES_ENDPOINT",
        "KF_PIPELINES_UI_ENDPOINT",
        "KF_PIPELINES_TOKEN",
        "KF_PIPELINES_SA_TOKEN_PATH",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(kfp_client, "PAUSE_SECONDS", 0)


@pytest.fixture
def yt8m(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Yt8m:
    """Runs a command; gives its exit code and what it wrote."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["yt8m", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = ended.code
        written = capsys.readouterr()
        assert "Traceback" not in written.err
        return code, written.out, written.err

    return run


@pytest.fixture
def kfp(yt8m: Yt8m, api_server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> Yt8m:
    """The same, with the server as endpoint."""
    monkeypatch.setenv("KF_PIPELINES_ENDPOINT", api_server.url)
    return yt8m


@pytest.fixture
def spans(tmp_path: Path, write_shard: Callable[..., Path], video_record: Callable[..., bytes]) -> Callable[[int], str]:
    """Adds a span of data; gives the pattern of all."""

    def add(span: int) -> str:
        folder = tmp_path / f"span-{span}"
        folder.mkdir()
        write_shard(folder / "train0000.tfrecord", [video_record()])
        return str(tmp_path / "span-{SPAN}" / "*.tfrecord")

    return add


def submitted(answer: tuple[int, str, str]) -> dict:
    code, out, err = answer
    assert code == 0, err
    return json.loads(out)


def evaluated(kfp: Yt8m, api_server: ApiServer) -> str:
    """A run whose Evaluator was tried twice and said its scores."""
    run = submitted(kfp("submit", "--package", PACKAGE, "--json"))["run_id"]
    api_server.advance(run, "RUNNING", {"Trainer": "SUCCEEDED"})
    nodes = api_server.advance(run, "RUNNING", {"Evaluator": "SUCCEEDED"}, retries=1)["run_details"]["task_details"]
    api_server.logs[nodes[-1]["pod_name"]] = f"INFO x: {scores_line({'f1': 0.75, 'gap': 0.8})}\ndone\n"
    return run


def changes(api_server: ApiServer) -> list[str]:
    return [request.path for request in api_server.requests if request.method != "GET"]


def writes_of(api_server: ApiServer, act: Callable[[], object]) -> list[str]:
    before = len(changes(api_server))
    act()
    return changes(api_server)[before:]


def test_a_package_becomes_a_version_and_a_run_in_the_experiment(kfp: Yt8m, api_server: ApiServer):
    code, out, err = kfp("submit", "--package", PACKAGE, "--kfp-experiment", "videos", "--name", "first")
    assert (code, err) == (0, "")
    [run] = api_server.state.runs.values()
    assert out.splitlines()[1:] == [f"run: {run['run_id']}", f"link: {api_server.url}/#/runs/details/{run['run_id']}"]
    experiment = api_server.state.experiments[run["experiment_id"]]
    assert (run["display_name"], experiment["display_name"]) == ("first", "videos")
    [version] = api_server.state.versions.values()
    assert out.startswith(f"version: {version['name']}\n") and version["name"].startswith("yt8m-")
    stored = version["pipeline_spec"]
    assert [stored["pipeline_spec"], stored["platform_spec"]] == list(yaml.safe_load_all(PACKAGE.read_text()))
    parameters = run["runtime_config"]["parameters"]
    assert parameters["experiment"] == "netvlad-8" and parameters.keys() == {"data", "experiment", "overrides"}


def test_the_options_beside_a_package_are_parameters_of_the_run(kfp: Yt8m, api_server: ApiServer):
    own = ["--data", "/mnt/yt8m/other", "--set", "training.max_epochs=3", "--seed", 1]
    submitted(kfp("submit", "--package", PACKAGE, *own, "--json"))
    [run] = api_server.state.runs.values()
    parameters = run["runtime_config"]["parameters"]
    assert parameters["data"] == "/mnt/yt8m/other"
    assert json.loads(parameters["overrides"])[-2:] == ["seed=1", "training.max_epochs=3"]


def test_the_same_submitted_twice_finds_version_and_run(kfp: Yt8m, api_server: ApiServer):
    first = submitted(kfp("submit", "--package", PACKAGE, "--json"))
    assert (first["uploaded"], first["started"]) == (True, True)
    assert writes_of(api_server, lambda: kfp("submit", "--package", PACKAGE)) == []
    again = submitted(kfp("submit", "--package", PACKAGE, "--json"))
    assert again == first | {"uploaded": False, "started": False}
    api_server.advance(first["run_id"], "FAILED")
    anew = submitted(kfp("submit", "--package", PACKAGE, "--json"))
    assert (anew["uploaded"], anew["started"]) == (False, True) and len(api_server.state.versions) == 1


def test_what_is_compiled_is_submitted(kfp: Yt8m, api_server: ApiServer, tmp_path: Path):
    cluster = tmp_path / "cluster.yaml"
    cluster.write_text(
        "cluster: {image: 'r.example/yt8m:1', pipeline_root: 'minio://b/root', push_directory: /mnt/yt8m/serving,"
        " volumes: [{claim: yt8m, path: /mnt/yt8m}]}"
    )
    given = ["--cluster", cluster, "--data", "/mnt/yt8m/span-{SPAN}/*", "--experiment", "netvlad-8"]
    code, out, err = kfp("submit", *given, "--set", "training.max_epochs=2")
    assert code == 0 and "no resume" in err
    [run] = api_server.state.runs.values()
    assert run["runtime_config"]["parameters"] == {
        "data": "/mnt/yt8m/span-{SPAN}/*",
        "experiment": "netvlad-8",
        "overrides": '["training.max_epochs=2"]',
    }
    code, again, _ = kfp("submit", *given, "--set", "training.max_epochs=2")
    assert again.splitlines()[0] == f"{out.splitlines()[0]} (there already)"


@pytest.mark.parametrize("lose", ["request", "answer"])
@pytest.mark.parametrize("path", ["/pipelines$", "/upload_version$", "/experiments$", "/runs$"])
def test_a_lost_connection_makes_nothing_twice(kfp: Yt8m, api_server: ApiServer, lose: str, path: str):
    api_server.trouble("POST", path, lose=lose)
    submitted(kfp("submit", "--package", PACKAGE, "--kfp-experiment", "videos", "--json"))
    state = api_server.state
    made = [len(kind) for kind in (state.pipelines, state.versions, state.experiments, state.runs)]
    assert made == [1, 1, 2, 1]  # KFP has an experiment of its own


def test_wait_tells_the_steps_the_scores_and_how_it_ended(kfp: Yt8m, api_server: ApiServer):
    run = evaluated(kfp, api_server)
    Timer(0.5, api_server.advance, [run, "SUCCEEDED"]).start()
    api_server.trouble("GET", f"/runs/{run}", status=503)
    code, out, err = kfp("submit", "--package", PACKAGE, "--wait", "--interval", 0.1)
    assert code == 0, err
    assert out.count("Trainer: SUCCEEDED") == 1 and out.count("answers 503: broken on purpose; asking again") == 1
    assert "f1 0.7500  gap 0.8000" in out and out.endswith(f"link: {api_server.url}/#/runs/details/{run}\n")


def test_a_run_that_fails_says_why_with_exit_code_1(kfp: Yt8m, api_server: ApiServer):
    run = evaluated(kfp, api_server)
    Timer(0.5, api_server.advance, [run, "FAILED", {"Pusher": "FAILED"}, "step Pusher failed"]).start()
    code, out, err = kfp("submit", "--package", PACKAGE, "--wait", "--interval", 0.1, "--json")
    assert (code, json.loads(out)["error"]) == (1, "step Pusher failed")
    assert err.endswith(f"error: run {run} is FAILED: step Pusher failed\n")


def test_waiting_ends_when_the_connection_is_gone_for_good(kfp: Yt8m, api_server: ApiServer):
    api_server.trouble("GET", "/runs/", status=503, times=1000)
    code, _, err = kfp("submit", "--package", PACKAGE, "--wait", "--interval", 0)
    assert code == 2 and err.count("error: cannot read the run") == 1


def test_new_data_starts_one_run_a_span(kfp: Yt8m, api_server: ApiServer, spans: Callable[[int], str]):
    pattern = spans(9)
    given = ["submit", "--package", PACKAGE, "--data", pattern, "--if-new-data", "--json"]
    first = submitted(kfp(*given))
    assert api_server.state.runs[first["run_id"]]["description"] == f"span 9 of {pattern}"
    assert first["data"] == pattern  # the run itself looks for the newest
    assert submitted(kfp(*given)) is None  # under way
    api_server.advance(first["run_id"], "FAILED")
    second = submitted(kfp(*given))
    assert second["started"] and second["run_id"] != first["run_id"]
    api_server.advance(second["run_id"], "SUCCEEDED")
    assert writes_of(api_server, lambda: kfp(*given)) == []
    assert submitted(kfp(*given, "--experiment", "nextvlad-128"))["experiment"] == "nextvlad-128"
    spans(10)
    third = submitted(kfp(*given))
    assert third["started"] and api_server.state.runs[third["run_id"]]["description"] == f"span 10 of {pattern}"
    assert len(api_server.state.versions) == 1


def test_new_data_needs_a_span(kfp: Yt8m):
    code, _, err = kfp("submit", "--package", PACKAGE, "--if-new-data")
    assert (code, err) == (2, "error: data is '/mnt/yt8m/frame': --if-new-data needs a {SPAN} in it\n")


def test_a_schedule_starts_one_run_at_a_time_on_the_newest_span(kfp: Yt8m, api_server: ApiServer):
    code, out, _ = kfp("schedule", "create", "weekly", *WEEKLY, "--data", "/mnt/yt8m/span-{SPAN}/*")
    assert (code, out) == (0, "weekly: 0 0 3 * * 1\n")
    [recurring] = api_server.state.recurring_runs.values()
    assert (recurring["no_catchup"], recurring["max_concurrency"], recurring["mode"]) == (True, "1", "ENABLE")
    run = api_server.tick(recurring["recurring_run_id"])
    assert run["runtime_config"]["parameters"]["data"] == "/mnt/yt8m/span-{SPAN}/*"
    listed = kfp("schedule", "list")[1].splitlines()
    assert listed[1] == "weekly  0 0 3 * * 1  on     netvlad-8   /mnt/yt8m/span-{SPAN}/*"
    assert json.loads(kfp("schedule", "list", "--json")[1])[0]["cron"] == "0 0 3 * * 1"


def test_every_command_of_schedule_said_twice_changes_nothing(kfp: Yt8m, api_server: ApiServer):
    recurring = api_server.state.recurring_runs
    for command, then in (
        (["create", "weekly", *WEEKLY], [("0 0 3 * * 1", "ENABLED")]),
        (["pause", "weekly"], [("0 0 3 * * 1", "DISABLED")]),
        (["replace", "weekly", *WEEKLY, "--cron", "30 0 4 * * 1"], [("30 0 4 * * 1", "DISABLED")]),
        (["resume", "weekly"], [("30 0 4 * * 1", "ENABLED")]),
        (["delete", "weekly"], []),
    ):
        for written in (True, False):
            before = len(changes(api_server))
            code, _, err = kfp("schedule", *command)
            assert code == 0, err
            assert (len(changes(api_server)) > before) == written, command
            found = [(one["trigger"]["cron_schedule"]["cron"], one["status"]) for one in recurring.values()]
            assert found == then


@pytest.mark.parametrize("lose", ["request", "answer"])
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_a_schedule_is_replaced_by_one_although_the_connection_breaks(
    kfp: Yt8m, api_server: ApiServer, method: str, lose: str
):
    kfp("schedule", "create", "weekly", *WEEKLY)
    api_server.trouble(method, "/recurringruns", lose=lose)
    assert kfp("schedule", "replace", "weekly", *WEEKLY, "--cron", "0 4 * * 1")[0] == 0
    [recurring] = api_server.state.recurring_runs.values()
    assert recurring["trigger"]["cron_schedule"]["cron"] == "0 0 4 * * 1"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["create", "weekly", *WEEKLY, "--cron", "0 4 * * 1"], "schedule weekly is there with another cron"),
        (["create", "daily", *WEEKLY, "--cron", "daily"], "--cron is 'daily', expected 5 fields, or 6 with seconds"),
        (["pause", "daily"], "NAME is 'daily', allowed: weekly"),
        (["create", "daily", *WEEKLY, "--cluster", "cluster.yaml"], "--cluster and --set cluster.KEY would change"),
        (["create", "daily", "--cron", "0 4 * * 1"], "Missing option '--cluster'"),
    ],
)
def test_a_wrong_schedule_is_refused_in_words(kfp: Yt8m, arguments: list, message: str):
    kfp("schedule", "create", "weekly", *WEEKLY)
    code, _, err = kfp("schedule", *arguments)
    assert code == 2 and message in err


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
    assert kfp("logs", run, "Evaluator") == (0, f"INFO x: {scores_line({'f1': 0.75, 'gap': 0.8})}\ndone\n", "")
    api_server.logs.clear()
    code, _, err = kfp("logs", run, "Evaluator")
    assert code == 2 and "cannot read the log of Evaluator" in err and "pod run-" in err
    assert "scores" not in kfp("status", run)[1]
    assert kfp("logs", run, "Tuner")[2] == "error: STEP is 'Tuner', allowed: Trainer, Evaluator\n"
    code, _, err = kfp("logs", "none", "Trainer")
    assert code == 2 and "error: RUN is 'none'" in err and "has no such run" in err


@pytest.mark.parametrize(
    ("status", "path", "message"),
    [
        (401, "", "refuses the token (401)"),
        (403, "/runs", "cannot list runs: the token is not allowed to at http://127.0.0.1"),
        (500, "/runs", "cannot list runs: http://127.0.0.1"),
        (400, "/upload_version", "cannot upload the package: http://127.0.0.1"),
    ],
)
def test_what_the_api_refuses_is_one_line(kfp: Yt8m, api_server: ApiServer, status: int, path: str, message: str):
    api_server.trouble("", path, status=status, times=9)
    code, _, err = kfp("submit", "--package", PACKAGE)
    assert code == 2 and message in err and "broken on purpose" in err and len(err.splitlines()) == 1


def test_a_file_that_is_no_package_is_refused(kfp: Yt8m, api_server: ApiServer, tmp_path: Path):
    (tmp_path / "other.yaml").write_text("a: 1")
    code, _, err = kfp("submit", "--package", tmp_path / "other.yaml")
    assert code == 2 and err.endswith("is no compiled package, expected what `yt8m compile` writes\n")
    (tmp_path / "other.yaml").write_text(PACKAGE.read_text().replace("schemaVersion: 2.1.0", "schemaVersion: 2.0.0"))
    code, _, err = kfp("submit", "--package", tmp_path / "other.yaml")
    assert code == 2 and "cannot upload the package" in err and "2.1.0" in err
    assert changes(api_server)[-1].endswith("/upload_version") and not api_server.state.runs


def test_an_unreachable_host_is_one_line_within_seconds():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{unused.getsockname()[1]}"
        yt8m = [Path(sys.executable).with_name("yt8m"), "status", "--endpoint", f"http://u:secret@{host}"]
        started = time.monotonic()
        found = subprocess.run(yt8m, capture_output=True, text=True)
    assert (found.returncode, found.stdout, time.monotonic() - started < 5) == (2, "", True)
    assert found.stderr == f"error: cannot connect: http://{host} cannot be reached: Connection refused\n"


def test_a_page_to_log_in_is_not_taken_for_the_api(kfp: Yt8m, api_server: ApiServer):
    api_server.healthz = b"<html>"
    code, _, err = kfp("status")
    assert code == 2 and "answers 200: no JSON, but perhaps a page to log in" in err


def test_an_older_backend_is_named(kfp: Yt8m, api_server: ApiServer):
    api_server.healthz = {"multi_user": False}
    code, _, err = kfp("submit", "--package", PACKAGE)
    assert code == 0 and "looks older than Kubeflow Pipelines 2.15" in err


def test_the_token_of_a_file_or_a_variable_opens_and_is_never_shown(
    kfp: Yt8m, api_server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    api_server.token = "right-secret"
    (tmp_path / "token").write_text("right-secret\n")
    opened = [kfp("submit", "--package", PACKAGE, "--token-file", tmp_path / "token")]
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(tmp_path / "token"))
    opened.append(kfp("status"))
    monkeypatch.delenv("KF_PIPELINES_SA_TOKEN_PATH")
    monkeypatch.setenv("KF_PIPELINES_TOKEN", "right-secret")
    opened.append(kfp("status"))
    assert [code for code, _, _ in opened] == [0, 0, 0] and "right-secret" not in str(opened)
    monkeypatch.setenv("KF_PIPELINES_TOKEN", "wrong-secret")
    code, out, err = kfp("status")
    assert code == 2 and "refuses the token (401)" in err and "secret" not in out + err
    written = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "token"]
    assert not any(b"secret" in path.read_bytes() for path in written)


def test_a_token_that_is_not_there_is_said(kfp: Yt8m, tmp_path: Path):
    code, _, err = kfp("status", "--token-file", tmp_path / "none")
    assert code == 2 and "--token-file is" in err and "No such file" in err


def test_kubectl_leads_to_the_api_where_nothing_else_is_said(
    yt8m: Yt8m, api_server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "config"))
    code, _, err = yt8m("status")
    assert code == 2 and "no --endpoint, no KF_PIPELINES_ENDPOINT, and kubectl's configuration leads nowhere" in err
    user = {"name": "me", "user": {"token": "of-kubectl"}}
    cluster = {"name": "c", "cluster": {"server": api_server.url}}
    context = {"name": "x", "context": {"cluster": "c", "user": "me"}}
    config = {"clusters": [cluster], "users": [user], "contexts": [context], "current-context": "x"}
    (tmp_path / "config").write_text(yaml.safe_dump(config))
    code, _, err = yt8m("status")  # Kubernetes' API would pass it on
    [asked, *_] = api_server.requests
    assert asked.path.endswith("/services/ml-pipeline:http/proxy//apis/v2beta1/healthz")
    assert asked.headers["authorization"] == "Bearer of-kubectl"
    assert code == 2 and "answers 404" in err and "of-kubectl" not in err
