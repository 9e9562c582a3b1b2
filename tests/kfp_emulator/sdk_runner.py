"""Runs a compiled package under `kfp.local`, the SDK's own runner, without a cluster.

Its SubprocessRunner rejects containers, as it has no image for them. Here the environment is the image: the checks are
disabled and commands run as in pods/, each with its own root file system, forked from a process that has imported
`preload`. URIs are local paths, types are passed on, retries and the platform spec are ignored (the emulator covers
them), so volumes are arguments.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from kfp import components, local
from kfp.local import subprocess_task_handler

from kfp_emulator.pods.pod import Pod, PodServer


@dataclass
class LocalRun:
    """A run that succeeded; its files are in `root`/TASK/KEY, the logs of all tasks in `log`."""

    root: Path
    log: Path

    def output(self, task: str, key: str) -> Path:
        return self.root / task / key


@contextmanager
def _containers_in_pods(server: PodServer, new_pod: Callable[[], Pod]) -> Iterator[None]:
    handler = subprocess_task_handler.SubprocessTaskHandler

    def run(full_command: list[str]) -> int:
        pod = new_pod()
        try:
            return server.run(pod, ["python" if word == sys.executable else word for word in full_command], None)[0]
        finally:
            pod.remove()

    with (
        mock.patch.object(handler, "validate_not_container_component", lambda *_: None),
        mock.patch.object(handler, "validate_not_containerized_python_component", lambda *_: None),
        mock.patch.object(handler, "validate_image", lambda *_: None),
        mock.patch.object(subprocess_task_handler, "run_local_subprocess", run),
    ):
        yield


def run_locally(
    package: Path,
    folder: Path,
    parameters: Mapping[str, Any] | None = None,
    *,
    preload: Sequence[str] = (),
    mounts: Mapping[str, Path] | None = None,
    environment: Mapping[str, str] | None = None,
) -> LocalRun:
    """Runs a package to its end.

    Args:
        package: The two-document YAML file.
        folder: Receives `outputs/` and `log`.
        parameters: Parameters of the run.
        preload: Modules that are imported before steps are forked.
        mounts: Path in a container -> host folder.
        environment: Variables for all containers; kfp.local ignores those of the package.

    Raises:
        RuntimeError: A task failed; the log says why.
    """
    root, log = folder.resolve() / "outputs", folder.resolve() / "log"
    root.mkdir(parents=True)
    variables = {"PATH": f"{sys.prefix}/bin:/usr/local/bin:/usr/bin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8"}
    variables |= environment or {}
    volumes = [(root, str(root)), *((host, path) for path, host in (mounts or {}).items())]
    server = PodServer(preload, fork=True)
    try:
        local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(root), raise_on_error=True)
        with _containers_in_pods(server, lambda: Pod(folder / "pods" / "step", log, dict(variables), list(volumes))):
            components.load_component_from_file(str(package))(**dict(parameters or {}))
    finally:
        server.close()
    (run,) = root.iterdir()
    return LocalRun(run, log)
