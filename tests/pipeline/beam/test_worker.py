"""`yt8m-beam-worker`: Beam's container contract, and a pool that a job service asks for workers."""

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import psutil
import pytest
from apache_beam.portability.api import beam_provision_api_pb2, beam_provision_api_pb2_grpc
from apache_beam.runners.job.utils import dict_to_struct

from pipeline.beam.preflight import preflight
from pipeline.beam.worker import main
from pipeline.beam_settings import BeamSettings


class Provision(beam_provision_api_pb2_grpc.ProvisionServiceServicer):
    """Tells the worker `worker-1`, which must name itself as Beam's own workers do, what an engine would."""

    def __init__(self, info):
        self.info = info

    def GetProvisionInfo(self, request, context):
        assert dict(context.invocation_metadata())["worker_id"] == "worker-1"
        return beam_provision_api_pb2.GetProvisionInfoResponse(info=self.info)


@pytest.fixture
def provision():
    """The endpoint of a provision service, for a job with options."""
    info = beam_provision_api_pb2.ProvisionInfo(
        pipeline_options=dict_to_struct({"beam:option:experiments:v1": ["a"]}), runner_capabilities=["beam:b", "beam:c"]
    )
    info.control_endpoint.url, info.logging_endpoint.url = "localhost:1", "localhost:2"
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("localhost:0")
    beam_provision_api_pb2_grpc.add_ProvisionServiceServicer_to_server(Provision(info), server)
    server.start()
    yield f"localhost:{port}"
    server.stop(0)


def test_a_worker_gets_what_the_engine_tells(provision, monkeypatch):
    executed = []
    monkeypatch.setattr(os, "environ", {})
    monkeypatch.setattr(os, "dup2", lambda source, target: executed.append((source, target)))
    monkeypatch.setattr(os, "execv", lambda program, arguments: executed.append(arguments))
    main(["--id='worker-1'", f"--provision_endpoint={provision}", "--logging_endpoint=localhost:3"])
    assert executed == [(2, 1), [sys.executable, "-m", "apache_beam.runners.worker.sdk_worker_main"]]
    told = os.environ
    assert told["WORKER_ID"] == "worker-1"  # without the quotes that Prism writes
    assert told["CONTROL_API_SERVICE_DESCRIPTOR"].strip() == 'url: "localhost:1"'
    assert told["LOGGING_API_SERVICE_DESCRIPTOR"].strip() == 'url: "localhost:3"'
    assert told["RUNNER_CAPABILITIES"] == "beam:b beam:c" and "STATUS_API_SERVICE_DESCRIPTOR" not in told
    assert json.loads(told["PIPELINE_OPTIONS"]) == {"beam:option:experiments:v1": ["a"]}


def test_a_worker_without_an_engine_is_refused(capsys):
    with pytest.raises(SystemExit) as error:
        main(["--id=worker-1"])
    assert error.value.code == 2 and "expected --id and --provision_endpoint" in capsys.readouterr().err


def test_a_pool_on_loopback_starts_workers_and_ends_with_them(job_service, tmp_path):
    command = Path(sys.executable).with_name("yt8m-beam-worker")
    with subprocess.Popen([command, "--pool", "0"], stderr=subprocess.PIPE, text=True) as pool:
        assert pool.stderr
        started = pool.stderr.readline()
        assert started.startswith("worker pool at 127.0.0.1:")
        address = started.split()[-1]
        listening = [c.laddr.ip for c in psutil.Process(pool.pid).net_connections() if c.status == psutil.CONN_LISTEN]
        assert {ip.removeprefix("::ffff:") for ip in listening} == {"127.0.0.1"}

        external = ("--environment_type=EXTERNAL", f"--environment_config={address}")
        settings = BeamSettings(runner="PortableRunner", options=(f"--job_endpoint={job_service}", *external))
        preflight(settings, str(tmp_path))

        taken = subprocess.run([command, "--pool", address.split(":")[1]], stderr=subprocess.PIPE, text=True)
        assert taken.returncode == 1 and "is in use or not an address of this machine" in taken.stderr
        children = psutil.Process(pool.pid).children(recursive=True)
        pool.send_signal(signal.SIGTERM)
        pool.communicate(timeout=60)
    assert pool.returncode == 0
    assert not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children)
