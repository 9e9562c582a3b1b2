"""`yt8m submit`: packages become versions and runs, once."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from api_server import ApiServer
from commands import PACKAGE, Yt8m, changes, evaluated, submitted, writes_of


@pytest.fixture
def spans(tmp_path: Path, write_shard: Callable[..., Path], video_record: Callable[..., bytes]) -> Callable[[int], str]:
    """Adds a span of data; gives the pattern of all."""

    def add(span: int) -> str:
        folder = tmp_path / f"span-{span}"
        folder.mkdir()
        write_shard(folder / "train0000.tfrecord", [video_record()])
        return str(tmp_path / "span-{SPAN}" / "*.tfrecord")

    return add


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


def test_steps_run_as_the_account_that_is_asked_for(kfp: Yt8m, api_server: ApiServer):
    submitted(kfp("submit", "--package", PACKAGE, "--service-account", "yt8m-pipeline", "--json"))
    [run] = api_server.state.runs.values()
    assert run["service_account"] == "yt8m-pipeline"


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
    api_server.advance_when_read(run, "SUCCEEDED")
    api_server.trouble("GET", f"/runs/{run}", status=503)
    code, out, err = kfp("submit", "--package", PACKAGE, "--wait", "--interval", 0.1)
    assert code == 0, err
    assert out.count("Trainer: SUCCEEDED") == 1 and out.count("answers 503: broken on purpose; asking again") == 1
    assert "f1 0.7500  gap 0.8000" in out and out.endswith(f"link: {api_server.url}/#/runs/details/{run}\n")


def test_a_run_that_fails_says_why_with_exit_code_1(kfp: Yt8m, api_server: ApiServer):
    run = evaluated(kfp, api_server)
    api_server.advance_when_read(run, "FAILED", {"Pusher": "FAILED"}, "step Pusher failed")
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


def test_a_file_that_is_no_package_is_refused(kfp: Yt8m, api_server: ApiServer, tmp_path: Path):
    (tmp_path / "other.yaml").write_text("a: 1")
    code, _, err = kfp("submit", "--package", tmp_path / "other.yaml")
    assert code == 2 and err.endswith("is no compiled package, expected what `yt8m compile` writes\n")
    (tmp_path / "other.yaml").write_text(PACKAGE.read_text().replace("schemaVersion: 2.1.0", "schemaVersion: 2.0.0"))
    code, _, err = kfp("submit", "--package", tmp_path / "other.yaml")
    assert code == 2 and "cannot upload the package" in err and "2.1.0" in err
    assert changes(api_server)[-1].endswith("/upload_version") and not api_server.state.runs
