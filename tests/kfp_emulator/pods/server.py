"""Starts containers: imports the heavy modules once and forks a process for each step.

A script, so that it imports nothing of ours before it forks. It reads one JSON request per line from standard input
(PodServer.run in pod.py), answers {"pid": N} and, once the process and its children are gone, {"status": exit code}.

A step sees the root file system of a pod: the system's folders and this checkout, read-only; /tmp and the launcher's
scratch folders, empty; and its volumes. A mount namespace provides it, so nothing of the host changes.
"""

import atexit
import contextlib
import ctypes
import gc
import json
import os
import re
import runpy
import select
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 0x1, 0x20, 0x1000, 0x4000, 0x40000
CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
LIBC = ctypes.CDLL(None, use_errno=True)

status = 0


def call(function: str, *arguments: object) -> None:
    encoded = [os.fsencode(value) if isinstance(value, (str, Path)) else value for value in arguments]
    if getattr(LIBC, function)(*encoded):
        number = ctypes.get_errno()
        raise OSError(number, f"{function}{arguments}: {os.strerror(number)}")


def own_mounts() -> None:
    """Enters a new mount namespace; users other than root need a user namespace around it."""
    user, group = os.getuid(), os.getgid()
    if user == 0:
        call("unshare", CLONE_NEWNS)
    else:
        call("unshare", CLONE_NEWNS | CLONE_NEWUSER)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    call("mount", "none", "/", None, MS_REC | MS_PRIVATE, None)


def bind(source: str | Path, target: Path, read_only: bool) -> None:
    target.mkdir(parents=True, exist_ok=True)
    call("mount", source, target, None, MS_BIND | MS_REC, None)
    if read_only and os.getuid() == 0:  # others may not remount what root mounted
        call("mount", source, target, None, MS_BIND | MS_REMOUNT | MS_RDONLY, None)


def enter_pod(scratch: Path, mounts: list[list[str]], sources: list[str]) -> None:
    """Changes the root to a new one with the folders of `scratch` and the mounts [host folder, path in the pod]."""
    own_mounts()
    root = scratch.with_name(scratch.name + ".root")
    root.mkdir(exist_ok=True)
    call("mount", "tmpfs", root, "tmpfs", 0, None)
    fresh = {path.name for path in scratch.iterdir()}
    hidden = fresh | {Path(path).parts[1] for _, path in mounts if not path.startswith("/dev/")}
    for path in Path("/").iterdir():
        if path.is_symlink():
            (root / path.name).symlink_to(os.readlink(path))
        elif path.is_dir() and path.name not in hidden and os.access(path, os.X_OK):
            bind(path, root / path.name, read_only=path.name not in ("dev", "proc", "sys"))
    for name in fresh:
        bind(scratch / name, root / name, read_only=False)
    for source in sources:
        if not (root / source[1:]).exists():
            bind(source, root / source[1:], read_only=True)
    for folder, path in mounts:
        bind(folder, root / path[1:], read_only=False)
    os.chroot(root)
    os.chdir("/")


class Gated:
    """A stream that blocks after the line that triggers the step's fault, until the signal has been sent."""

    def __init__(self, stream: TextIO, pattern: str, gate: int) -> None:
        self._stream, self._pattern, self._gate = stream, pattern, gate

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        written = self._stream.write(text)
        if re.search(self._pattern, text):
            self._stream.flush()
            select.select([self._gate], [], [])  # readable from then on
        return written


def become(request: dict) -> int:
    """Turns this process into the step's: log, pod, environment. Returns the fault's gate, -1 without a fault."""
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    null, log = os.open(os.devnull, os.O_RDONLY), os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for source, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    gate = os.open(request["gate"], os.O_RDWR) if request["gate"] else -1
    enter_pod(Path(request["scratch"]), request["mounts"], request["sources"])
    os.environ.clear()
    os.environ.update(request["environment"])
    return gate


def step(request: dict) -> None:
    """Runs the command: `python [-P] -m MODULE` in this process, with its loaded modules; any other by exec."""
    gate = become(request)
    command = request["command"]
    safe_path = command[1:2] == ["-P"]
    match [command[0], *command[2:]] if safe_path else command:
        case ["python" | "python3", "-m", module, *arguments] if request["fork"]:
            sys.argv = [module, *arguments]
            working_directory = [] if safe_path else ["/"]
            sys.path[:0] = [*working_directory, *filter(None, os.environ.get("PYTHONPATH", "").split(":"))]
            sys.stdout.reconfigure(write_through="PYTHONUNBUFFERED" in os.environ)
            if gate >= 0:
                sys.stdout, sys.stderr = (Gated(stream, request["after"], gate) for stream in (sys.stdout, sys.stderr))
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        case _:
            os.execvp(command[0], command)


@contextlib.contextmanager
def exit_status() -> Iterator[None]:
    """Records the exit status of this process, for leave()."""
    global status
    try:
        yield
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        raise
    except BaseException:
        status = 1
        raise


def leave() -> None:
    """Ends the process as Python would, but without freeing the preloaded modules, which takes 3 s of CPU."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def answer(**values: int) -> None:
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def serve() -> None:
    atexit.register(leave)  # the first to be registered is the last to run
    loaded: set[str] = set()
    for line in sys.stdin:
        request = json.loads(line)
        if request["fork"]:
            for module in set(request["preload"]) - loaded:
                __import__(module)
                loaded.add(module)
            gc.freeze()  # a collection in a step would copy the memory of all preloaded modules
        pid = os.fork()
        if pid == 0:
            with exit_status():
                step(request)
            return  # the interpreter ends as it would after `python -m`, down to leave()
        with contextlib.suppress(OSError):  # the step has done it itself, or is gone
            os.setpgid(pid, pid)
        answer(pid=pid)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)  # a container ends when its first process does
        answer(status=code)


if __name__ == "__main__":
    own_mounts() if sys.argv[1:] == ["check"] else serve()
