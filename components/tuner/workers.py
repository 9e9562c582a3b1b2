"""Parallel trials: worker processes on this machine that share one oracle by KerasTuner's protocol."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import tensorflow as tf
from keras_tuner.src import protos
from keras_tuner.src.distribute.oracle_chief import OracleServicer
from tfx import v1 as tfx
from tfx.components.trainer import fn_args_utils
from tfx.utils import json_utils
from tfx.v1.components import TunerFnResult

from models.errors import InputError
from models.training.stopping import deferred_signals
from tuner.search import Search

HOST = "127.0.0.1"

# Seconds between two checks whether a worker has ended.
POLL_SECONDS = 0.2

_logger = logging.getLogger("tuner.workers")


def search_with_workers(
    input_dict: dict[str, list[tfx.dsl.Artifact]],
    exec_properties: dict[str, Any],
    tuner_fn: Callable[[tfx.components.FnArgs], TunerFnResult],
    workers: int,
) -> Search:
    """Searches in worker processes. A worker that crashes is replaced; its trial counts as failed.

    Args:
        input_dict: of TFX's Tuner.
        exec_properties: of TFX's Tuner.
        tuner_fn: of TFX's Tuner.
        workers: number of parallel trials.

    Returns:
        The finished search.

    Raises:
        InputError: KERASTUNER_ORACLE_IP is set, there are fewer GPUs than workers, or no trial was scored.
        RuntimeError: a worker crashes without a trial.
    """
    if "KERASTUNER_ORACLE_IP" in os.environ:
        raise InputError(f"tune.workers is {workers}, allowed where KERASTUNER_ORACLE_IP is set: 1")
    devices = _devices(workers)
    search: Search = tuner_fn(fn_args_utils.get_common_fn_args(input_dict, exec_properties)).tuner
    task = json_utils.dumps({"inputs": input_dict, "properties": exec_properties}).encode()
    running: dict[str, subprocess.Popen[bytes]] = {}
    with deferred_signals() as stop, _served(search) as port:
        try:
            for name, device in devices.items():
                running[name] = _start(name, port, device, task)
            while running and not stop:
                time.sleep(POLL_SECONDS)
                for name, process in list(running.items()):
                    if process.poll() is None:
                        continue
                    _close(process)
                    if process.returncode == 0:
                        del running[name]
                    else:
                        _record_crash(search, name, process.returncode)
                        running[name] = _start(name, port, devices[name], task)
        finally:
            for process in running.values():
                if stop:
                    process.terminate()  # saves the trial
                else:
                    process.kill()
            for process in running.values():
                process.wait()
                _close(process)
    search.on_search_end()
    return search


def _devices(workers: int) -> dict[str, dict[str, str]]:
    """The environment variables that give each worker a GPU of its own, by the worker's name; none without GPUs."""
    names = [f"worker{number}" for number in range(workers)]
    count = len(tf.config.list_physical_devices("GPU"))
    if not count:
        return {name: {} for name in names}
    if workers > count:
        raise InputError(f"tune.workers is {workers}, allowed with {count} GPUs: at most {count}")
    visible = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(count)))
    return {name: {"CUDA_VISIBLE_DEVICES": gpu} for name, gpu in zip(names, visible.split(","), strict=False)}


@contextmanager
def _served(search: Search) -> Iterator[int]:
    """Serves the oracle at a free port. (KerasTuner's own server may wait 20 s after the last trial.)"""
    server = grpc.server(ThreadPoolExecutor(max_workers=1))
    protos.get_service_grpc().add_OracleServicer_to_server(OracleServicer(search.oracle), server)
    port = server.add_insecure_port(f"{HOST}:0")
    search.save()
    server.start()
    try:
        yield port
    finally:
        server.stop(grace=None).wait()


def _start(name: str, port: int, device: dict[str, str], task: bytes) -> subprocess.Popen[bytes]:
    address = {"KERASTUNER_TUNER_ID": name, "KERASTUNER_ORACLE_IP": HOST, "KERASTUNER_ORACLE_PORT": str(port)}
    # -P: modules are not searched in the working directory, which may have folders `components` or `models`.
    command: Sequence[str] = (sys.executable, "-P", "-m", "components.tuner.worker")
    # In a session of its own: else Ctrl-C would end it before this process asks it to save its trial.
    environment = {**os.environ, **address, **device}
    process = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment, start_new_session=True)
    assert process.stdin is not None
    process.stdin.write(task + b"\n")
    process.stdin.flush()  # and stays open: end of file tells the worker that this process has ended
    return process


def _close(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    process.wait()


def _record_crash(search: Search, name: str, code: int) -> None:
    cause = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    trial = search.oracle.ongoing_trials.get(name)
    if trial is None:
        raise RuntimeError(f"{name} of the search crashed ({cause}) without a trial")
    _logger.info("%s crashed (%s)", name, cause)
    search.fail_trial(trial, f"{name} crashed ({cause})")
