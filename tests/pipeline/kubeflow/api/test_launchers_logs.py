"""`yt8m logs` of a run on the emulator: the launcher's copies of logs outlive the pods."""

import pytest
from kfp import compiler, dsl

from kfp_emulator.emulator import Emulator, Fault
from kfp_emulator.tests.small_components import shell
from pipeline.kubeflow.api.client import connect
from pipeline.kubeflow.api.kfp_experiments import find_or_create_kfp_experiment
from pipeline.kubeflow.api.package import Package
from pipeline.kubeflow.api.runs import start_run
from pipeline.kubeflow.api.versions import upload_package

SCRIPT = "echo attempt of $KFP_POD_NAME; echo 'error: shell: no' >&2; exit 3"


@pytest.fixture
def start(pods_allowed, api_server, tmp_path):
    """Starts a run of one step with a retry and executes it; returns its id."""

    def run(script, **options):
        @dsl.pipeline(name="small")
        def pipeline():
            shell(script=script).set_retry(1, backoff_max_duration="3600s")

        compiler.Compiler().compile(pipeline, str(tmp_path / "package.yaml"))
        package = Package.parse((tmp_path / "package.yaml").read_text(), "package")
        connection = connect(api_server.url)
        version, _ = upload_package(connection, package)
        experiment = find_or_create_kfp_experiment(connection, "yt8m")
        started, _ = start_run(connection, version, experiment, "small", package)
        with Emulator(tmp_path / "cluster") as cluster:
            api_server.execute(started.run_id, cluster, **options)
        return started.run_id

    return run


def test_the_log_of_the_last_attempt_is_read_from_the_store_when_the_pod_is_gone(kfp, api_server, start):
    run = start(SCRIPT)
    of_the_pod = kfp("logs", run, "shell")
    assert of_the_pod[1].startswith("attempt of small-") and "-shell-2\n" in of_the_pod[1]
    assert of_the_pod[2].endswith("error: shell: no\n")
    api_server.delete_pods(run)
    assert "NoSuchKey" in kfp("logs", run, "shell")[2]
    api_server.as_ui = True
    assert kfp("logs", run, "shell") == of_the_pod
    out = kfp("status", run)[1]
    assert "    error: shell: no\n" in out


def test_an_attempt_that_is_killed_has_no_log_in_the_store(kfp, api_server, start):
    run = start("echo begun; sleep 60", faults=[Fault("shell", after="begun", attempts=(1, 2))])
    api_server.as_ui = True
    assert kfp("logs", run, "shell")[1] == "begun\n"
    api_server.delete_pods(run)
    code, out, err = kfp("logs", run, "shell")
    assert (code, out) == (2, "") and "Could not get main container logs" in err and "NoSuchKey" in err
