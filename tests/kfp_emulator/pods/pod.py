"""Pods as a cluster starts them: scratch folders, volumes, environment variables, signals from outside."""

import contextlib
import json
import os
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from signal import Signals

CHECKOUT = Path(__file__).parents[3]
# -P: a step must not import modules beside the script.
SERVER = [sys.executable, "-P", str(Path(__file__).with_name("server.py"))]


def allowed() -> bool:
    """Whether this machine allows mount namespaces; containers without privileges don't."""
    return subprocess.run([*SERVER, "check"], stdout=subprocess.PIPE, check=True).stdout == b"allowed"


@dataclass(frozen=True)
class Fault:
    """Kills the pod of a task, as the drain or loss of a node does.

    SIGTERM reaches all processes of the pod; those that still run `grace` seconds later are killed. The launcher does
    not handle SIGTERM, so the attempt fails whatever the step does, and nothing is uploaded.

    Attributes:
        task: The task's name.
        after: A regular expression: the signal is sent once the log matches it. A forked step waits at that line; one
            in another process must be slow, or wait itself.
        signal: SIGKILL or SIGTERM.
        attempts: Numbers of the attempts to kill.
        grace: Seconds between SIGTERM and SIGKILL. Kubernetes allows 30, but a step has at most one: it ends with the
            container's first process, Argo's emissary, which checks every second whether the launcher still runs.
        seconds: how long the attempt is said to have taken when the signal is sent; nothing waits for it.
        lost: whether the node or the pod itself has gone, which is an Error to Argo and not a failure.
    """

    task: str
    after: str
    signal: Signals = Signals.SIGKILL
    attempts: Sequence[int] = (1,)
    grace: float = 30.0
    seconds: float = 0.0
    lost: bool = False


@dataclass
class Pod:
    """What a container needs; `scratch` holds the writable folders besides its volumes."""

    scratch: Path
    log: Path
    environment: dict[str, str]
    mounts: list[tuple[Path, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.remove()
        for name in ("minio", "s3", "gcs", "tmp"):  # the emptyDir volumes of argocompiler/container.go
            (self.scratch / name).mkdir(parents=True)

    def inside(self, path: str) -> Path:
        """The host path of a path in the pod's scratch folders."""
        return self.scratch / path.lstrip("/")

    def volume(self, path: str) -> Path:
        """A new folder that is mounted at `path` and removed with the pod."""
        folder = self.scratch.with_name(f"{self.scratch.name}.{len(self.mounts)}")
        folder.mkdir()
        self.mounts.append((folder, path))
        return folder

    def remove(self) -> None:
        for folder in (self.scratch, *self.scratch.parent.glob(self.scratch.name + ".*")):
            shutil.rmtree(folder, ignore_errors=True) if folder.is_dir() else folder.unlink(missing_ok=True)


def _open_gate(gate: Path) -> None:
    """Lets a step that survived its fault continue."""
    with contextlib.suppress(OSError):  # it did not survive, or does not wait
        writer = os.open(gate, os.O_WRONLY | os.O_NONBLOCK)
        os.write(writer, b"!")
        os.close(writer)


class PodServer:
    """The process of server.py; started at the first run, ended by close()."""

    def __init__(self, preload: Sequence[str], fork: bool) -> None:
        self._preload, self._fork = list(preload), fork
        self._process: subprocess.Popen[str] | None = None

    def run(self, pod: Pod, command: Sequence[str], fault: Fault | None) -> tuple[int, bool]:
        """Runs a container to its end; returns the exit status, and whether the fault killed the pod."""
        server = self._server()
        gate = pod.scratch.with_name(f"{pod.scratch.name}.gate")
        if fault:
            os.mkfifo(gate)
        request = {
            "after": fault.after if fault else "",
            "command": list(command),
            "environment": pod.environment,
            "fork": self._fork,
            "gate": str(gate) if fault else "",
            "log": str(pod.log),
            "mounts": [[str(folder), path] for folder, path in pod.mounts],
            "preload": self._preload,
            "scratch": str(pod.scratch),
            "sources": [str(CHECKOUT), sys.prefix],
        }
        server.stdin.write(json.dumps(request) + "\n")
        server.stdin.flush()
        pid = self._answer(server)["pid"]
        killed = False
        killed_at = time.monotonic()
        while fault and not self._ready(server, 0.02):
            if not killed and re.search(fault.after, pod.log.read_text(errors="replace")):
                killed, killed_at = True, time.monotonic()
                os.killpg(pid, fault.signal)
                _open_gate(gate)
            elif killed and time.monotonic() - killed_at > fault.grace:
                os.killpg(pid, Signals.SIGKILL)
                break
        return self._answer(server)["status"], killed

    def close(self) -> None:
        if self._process:
            self._process.stdin.close()
            self._process.wait()
            self._process.stdout.close()
            self._process = None

    def _server(self) -> subprocess.Popen[str]:
        if self._process is None:
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(SERVER, stdin=pipe, stdout=pipe, text=True, bufsize=1)
        return self._process

    @staticmethod
    def _ready(server: subprocess.Popen[str], seconds: float) -> bool:
        return bool(select.select([server.stdout], [], [], seconds)[0])

    @staticmethod
    def _answer(server: subprocess.Popen[str]) -> dict[str, int]:
        line = server.stdout.readline()
        if not line:
            raise RuntimeError("the process that starts pods has ended; standard error says why")
        return json.loads(line)
