"""`yt8m-beam-worker`: starts a Beam worker in an image that holds the code, or a pool beside an engine's executor.

Beam's own container command downloads what the pipeline staged and starts `python` from PATH; nothing is staged here.
"""

import argparse
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

LOOPBACK = "127.0.0.1"

# Of the container contract: what an engine passes, with `--`.
_ENDPOINTS = ("provision_endpoint", "control_endpoint", "logging_endpoint", "artifact_endpoint", "status_endpoint")


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a worker or, with `--pool`, a worker pool."""
    options = _parser().parse_args(arguments)
    options.id = options.id.strip("'")  # Prism quotes it for a shell that there is not
    os.environ |= {"TFX_ANALYTICS": "0", "PYTHONSAFEPATH": "1"}
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    if options.pool is not None:
        run_pool(options.host, options.pool)
    elif not options.id or not options.provision_endpoint:
        _parser().error("expected --id and --provision_endpoint, which an engine passes, or --pool PORT")
    else:
        run_worker(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="yt8m-beam-worker", description="Runs a Beam worker, or a pool of them.")
    parser.add_argument(
        "--pool", type=int, metavar="PORT", help="Start workers for whoever asks at this port; 0: a free one."
    )
    parser.add_argument(
        "--host",
        default=LOOPBACK,
        help="Address that the pool listens on (default %(default)s). It has no authentication: 0.0.0.0 only behind a "
        "NetworkPolicy or a firewall.",
    )
    parser.add_argument("--id", default="", help="Of the worker; engines pass it and what follows.")
    for name in (*_ENDPOINTS, "semi_persist_dir"):
        parser.add_argument(f"--{name}", default="", help=argparse.SUPPRESS)
    return parser


def run_worker(options: argparse.Namespace) -> None:
    """Replaces this process by Beam's worker, with the options of the pipeline."""
    import grpc
    from apache_beam.portability.api import (
        beam_provision_api_pb2,
        beam_provision_api_pb2_grpc,
        endpoints_pb2,
    )
    from google.protobuf import json_format, text_format

    channel = grpc.insecure_channel(options.provision_endpoint)
    answer = beam_provision_api_pb2_grpc.ProvisionServiceStub(channel).GetProvisionInfo(
        beam_provision_api_pb2.GetProvisionInfoRequest(), timeout=60, metadata=[("worker_id", options.id)]
    )

    def service(name: str) -> str:
        told: Any = getattr(answer.info, name)
        url = getattr(options, name) or told.url
        return text_format.MessageToString(endpoints_pb2.ApiServiceDescriptor(url=url), as_one_line=True)

    os.environ |= {
        "WORKER_ID": options.id,
        "PIPELINE_OPTIONS": json_format.MessageToJson(answer.info.pipeline_options),
        "SEMI_PERSISTENT_DIRECTORY": options.semi_persist_dir or "/tmp",
        "LOGGING_API_SERVICE_DESCRIPTOR": service("logging_endpoint"),
        "CONTROL_API_SERVICE_DESCRIPTOR": service("control_endpoint"),
        "RUNNER_CAPABILITIES": " ".join(answer.info.runner_capabilities),
    }
    if options.status_endpoint or answer.info.status_endpoint.url:
        os.environ["STATUS_API_SERVICE_DESCRIPTOR"] = service("status_endpoint")
    # Engines and pools hand over a pipe that nobody reads: a worker that prints much would hang.
    os.dup2(2, 1)
    os.execv(sys.executable, [sys.executable, "-m", "apache_beam.runners.worker.sdk_worker_main"])


def run_pool(host: str, port: int) -> None:
    """Serves Beam's worker pool until SIGTERM or Ctrl-C; its workers end with it."""
    import grpc
    from apache_beam.portability.api import beam_fn_api_pb2_grpc
    from apache_beam.runners.worker.worker_pool_main import BeamFnExternalWorkerPoolServicer, kill_process_gracefully
    from apache_beam.utils.thread_pool_executor import shared_unbounded_instance

    pool = BeamFnExternalWorkerPoolServicer(use_process=True, container_executable=_this_command())
    server = grpc.server(
        shared_unbounded_instance(),
        options=[
            ("grpc.http2.max_pings_without_data", 0),
            ("grpc.http2.max_ping_strikes", 0),
            ("grpc.so_reuseport", 0),  # else a second pool could take the same port
        ],
    )
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(pool, server)
    try:
        port = server.add_insecure_port(f"{host}:{port}")
    except RuntimeError:
        sys.exit(f"error: {host}:{port} is in use or not an address of this machine")
    server.start()
    sys.stderr.write(f"worker pool at {host}:{port}\n")
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    stopped.wait()
    server.stop(0)
    for process in pool._worker_processes.values():
        kill_process_gracefully(process)
    # Not sys.exit: threads of gRPC could keep the process alive.
    os._exit(0)


def _this_command() -> str:
    """The path of `yt8m-beam-worker`, beside Python's."""
    return str(Path(sys.executable).with_name("yt8m-beam-worker"))


if __name__ == "__main__":
    main()
