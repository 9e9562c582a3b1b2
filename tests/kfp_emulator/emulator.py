"""Runs a compiled Kubeflow Pipelines v2 package as open-source KFP 2.15 to 2.17 would, without a cluster.

    with Emulator(tmp_path, preload=["tfx.v1"]) as cluster:
        run = cluster.run(Path("package.yaml"), {"data": "/data/*.tfrecord"})
        assert run.state == "SUCCEEDED", run.summary()
        run.tasks["Evaluator"].outputs["metrics"].metadata["f1"]
        cluster.store.path(run.tasks["Evaluator"].outputs["page"].uri).read_text()

What it keeps apart, because a cluster does: URIs of the object store and paths in a container; one container's files
from the next one's; the types that a package declares and what a container is told of its inputs. Steps run in a root
file system of their own: of the host only the system's folders, this checkout and its environment, all read-only;
/minio, /s3, /gcs and /tmp are there and empty; volumes are mounted where the platform spec says.

`python -m X` steps are forked from a process that has imported `preload` (once, at the first step). A forked step has
its own environment variables, but not what a library made of them when it was imported; `fork=False` starts every step
from nothing.

What it cannot do (loops, conditions, nesting) is refused with a NotImplementedError.
"""

import json
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from kfp_emulator.driver import (
    DriverError,
    Package,
    executor_input,
    in_order,
    load_package,
    needs,
    run_parameters,
)
from kfp_emulator.launcher import Launcher, LauncherError, Outputs
from kfp_emulator.metadata import Artifact, Metadata
from kfp_emulator.object_store import ObjectStore, local_path
from kfp_emulator.platform_spec import volumes_and_environment
from kfp_emulator.pods.pod import Fault, Pod, PodServer

__all__ = ["Artifact", "Emulator", "Fault", "Run", "Task"]


@dataclass
class Task:
    """What became of a task.

    Attributes:
        name: Its name.
        state: SUCCEEDED, FAILED, or SKIPPED after the failure of a task that it needs.
        attempts: Pods that were started; 0 for an importer, a cached task and one whose driver failed.
        cached: Whether its outputs are those of an earlier run.
        seconds: Of all attempts, without the copying.
        logs: A file for each attempt.
        outputs: Recorded artifacts by key, `executor-logs` among them; none of a failed task.
        parameters: Output parameters.
        error: Why it failed, as driver or launcher put it.
        executor_input: What the driver handed to the launcher.
    """

    name: str
    state: str = "SKIPPED"
    attempts: int = 0
    cached: bool = False
    seconds: float = 0.0
    logs: list[Path] = field(default_factory=list)
    outputs: dict[str, Artifact] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    executor_input: dict[str, Any] = field(default_factory=dict)

    @property
    def log(self) -> str:
        """All attempts' messages."""
        return "".join(path.read_text(errors="replace") for path in self.logs if path.exists())


@dataclass
class Run:
    """A run that has ended; `root` is its folder in the object store."""

    id: str
    root: str
    parameters: dict[str, Any]
    tasks: dict[str, Task] = field(default_factory=dict)

    @property
    def state(self) -> str:
        return "SUCCEEDED" if all(task.state == "SUCCEEDED" for task in self.tasks.values()) else "FAILED"

    def summary(self) -> str:
        """A line a task, and the end of the log of each that failed."""
        lines = []
        for task in self.tasks.values():
            lines.append(f"{task.name}: {task.state}, {task.attempts} attempts, {task.seconds:.1f} s {task.error}")
            lines += [f"    {line}" for line in task.log.splitlines()[-40:] if task.state == "FAILED"]
        return "\n".join(lines)


class Emulator:
    """A cluster with KFP: its object store, metadata and cache live as long as it does, over several runs.

    Args:
        folder: Where everything lies: `store/`, `pods/` (gone after each attempt) and `logs/RUN/TASK-ATTEMPT.log`.
        preload: Modules that steps find imported already.
        fork: Whether `python -m` steps are forked; else each is a new process.
        pipeline_root: A folder in the object store.
        claims: PersistentVolumeClaim -> host folder.
        secrets: Secret -> key -> value.
        environment: What the image sets; PATH, HOME and LANG are there.
        strict_outputs: A declared output that a container does not write fails its task.
        cache: Whether tasks that allow it take outputs of an earlier run; a run can say otherwise.
    """

    def __init__(
        self,
        folder: Path,
        *,
        preload: Sequence[str] = (),
        fork: bool = True,
        pipeline_root: str = "minio://mlpipeline/v2/artifacts",
        claims: Mapping[str, Path] | None = None,
        secrets: Mapping[str, Mapping[str, str]] | None = None,
        environment: Mapping[str, str] | None = None,
        strict_outputs: bool = False,
        cache: bool = False,
    ) -> None:
        if local_path(pipeline_root) is None:
            raise ValueError(f"pipeline root {pipeline_root}: minio://, s3:// or gs://")
        self.folder = folder
        self.store = ObjectStore(folder / "store")
        self.metadata = Metadata()
        self.claims, self.secrets = dict(claims or {}), dict(secrets or {})
        self.environment = {
            "PATH": f"{sys.prefix}/bin:/usr/local/bin:/usr/bin:/bin",
            "HOME": "/tmp",
            "LANG": "C.UTF-8",
            **(environment or {}),
        }
        self._pipeline_root, self._use_cache = pipeline_root, cache
        self._server = PodServer(preload, fork)
        self._launcher = Launcher(self.store, self.metadata, self._server, strict_outputs)
        self._cache: dict[str, Outputs] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the process that starts pods."""
        self._server.close()

    def run(
        self,
        package: Path,
        parameters: Mapping[str, Any] | None = None,
        *,
        faults: Sequence[Fault] = (),
        before: Mapping[str, Callable[[Task], None]] | None = None,
        tasks: Sequence[str] | None = None,
        cache: bool | None = None,
    ) -> Run:
        """Runs a package to its end, one task after the other.

        Args:
            package: The two-document YAML file.
            parameters: Of the run.
            faults: What takes pods away.
            before: Task -> what happens between its driver and its first pod, for example an artifact being deleted.
            tasks: Ends when these are done; nothing that they don't need is run.
            cache: Overrides the emulator's.

        Raises:
            driver.Refused: As the API server would: no run comes to be.
        """
        loaded = load_package(package)
        values = run_parameters(loaded, dict(parameters or {}))
        order = in_order(loaded)
        wanted = set(order) if tasks is None else _with_needs(loaded, tasks)
        if strangers := ({fault.task for fault in faults} | set(before or {}) | wanted) - set(order):
            raise ValueError(f"the package has no task {', '.join(sorted(strangers))}")
        run_id = str(uuid.uuid4())
        run = Run(run_id, f"{self._pipeline_root}/{loaded.spec['pipelineInfo']['name']}/{run_id}", values)
        for name in (name for name in order if name in wanted):
            task = run.tasks[name] = Task(name)
            if all(run.tasks[needed].state == "SUCCEEDED" for needed in needs(loaded, name)):
                try:
                    self._run_task(loaded, run, task, faults, (before or {}).get(name), cache)
                except DriverError as error:
                    task.state, task.error = "FAILED", str(error)
        return run

    def _run_task(
        self,
        package: Package,
        run: Run,
        task: Task,
        faults: Sequence[Fault],
        before: Callable[[Task], None] | None,
        cache: bool | None,
    ) -> None:
        executor = package.executor(task.name)
        if "importer" in executor:
            self._import(package, run, task, executor["importer"])
            return
        task.executor_input = executor_input(package, task.name, run.root, run.parameters, run.tasks)
        fingerprint = _fingerprint(package, task)
        may_cache = package.tasks[task.name].get("cachingOptions", {}).get("enableCache")
        if may_cache and (self._use_cache if cache is None else cache) and (found := self._cache.get(fingerprint)):
            task.outputs, task.parameters = dict(found.artifacts), dict(found.parameters)
            task.state, task.cached = "SUCCEEDED", True
            return
        if before:
            before(task)
        retries = int(package.tasks[task.name].get("retryPolicy", {}).get("maxRetryCount", 0))
        while task.state != "SUCCEEDED" and task.attempts <= retries:
            # A retry is a new pod of the same template: the driver does not run again, the output URIs stay. The
            # backoff between two is not waited for.
            task.attempts += 1
            self._attempt(package, run, task, faults)
        if task.state == "SUCCEEDED":
            self._cache[fingerprint] = Outputs(task.outputs, task.parameters)

    def _attempt(self, package: Package, run: Run, task: Task, faults: Sequence[Fault]) -> None:
        log = self.folder / "logs" / run.id / f"{task.name}-{task.attempts}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.touch()
        task.logs.append(log)
        container = package.executor(task.name)["container"]
        name = f"{package.spec['pipelineInfo']['name']}-{run.id[:5]}-{task.name.lower()}-{task.attempts}"
        pod = Pod(self.folder / "pods" / name, log, {"KFP_POD_NAME": name, "KFP_POD_UID": str(uuid.uuid4())})
        pod.environment |= self.environment
        pod.environment |= {variable["name"]: variable.get("value", "") for variable in container.get("env", [])}
        started = time.monotonic()
        try:
            volumes_and_environment(package.kubernetes(task.name), pod, run.parameters, self.claims, self.secrets)
            fault = next((f for f in faults if f.task == task.name and task.attempts in f.attempts), None)
            outputs = self._launcher.execute(
                package.component(task.name), container, task.executor_input, run.root, pod, fault
            )
            task.outputs, task.parameters, task.state, task.error = (
                outputs.artifacts,
                outputs.parameters,
                "SUCCEEDED",
                "",
            )
        except LauncherError as error:
            task.state, task.error = "FAILED", str(error)
        finally:
            task.seconds += time.monotonic() - started
            pod.remove()

    def _import(self, package: Package, run: Run, task: Task, importer: dict[str, Any]) -> None:
        """ImportSpecToArtifact of v2/component/importer_launcher.go."""
        match importer["artifactUri"]:
            case {"constant": str(uri)}:
                pass
            case {"runtimeParameter": name}:
                source = package.tasks[task.name]["inputs"]["parameters"][name]
                if "componentInputParameter" in source:
                    uri = run.parameters[source["componentInputParameter"]]
                else:
                    uri = source["runtimeValue"]["constant"]
            case other:
                raise DriverError(f"artifact uri not provided: {other}")
        if local_path(uri) is None:
            raise DriverError(f"failed to generate local path for URI {uri}: unsupported storage scheme")
        (key,) = package.component(task.name)["outputDefinitions"]["artifacts"]
        title = importer["typeSchema"].get("schemaTitle", "")
        task.outputs[key] = self.metadata.record(key, title, uri, importer.get("metadata", {}))
        task.state = "SUCCEEDED"


def _with_needs(package: Package, tasks: Sequence[str]) -> set[str]:
    found = set(tasks)
    for task in tasks:
        found |= _with_needs(package, sorted(needs(package, task)))
    return found


def _fingerprint(package: Package, task: Task) -> str:
    """GenerateCacheKey of v2/cacheutils/cache.go: artifacts count by their id, their contents don't."""
    container = package.executor(task.name)["container"]
    outputs = package.component(task.name).get("outputDefinitions", {})
    inputs = task.executor_input.get("inputs", {})
    artifacts = inputs.get("artifacts", {}).items()
    return json.dumps(
        [
            package.spec["pipelineInfo"]["name"],
            package.tasks[task.name].get("cachingOptions", {}).get("cacheKey", ""),
            inputs.get("parameterValues", {}),
            {key: [artifact["name"] for artifact in listed["artifacts"]] for key, listed in artifacts},
            outputs,
            {key: container.get(key) for key in ("image", "command", "args", "env")},
            package.kubernetes(task.name).get("pvcMount", []),
        ],
        sort_keys=True,
    )
