"""Runs a compiled Kubeflow Pipelines v2 package as open-source KFP 2.15 to 2.17 would, without a cluster.

    with Emulator(tmp_path, preload=["tfx.v1"]) as cluster:
        run = cluster.run(Path("package.yaml"), {"data": "/data/*.tfrecord"})
        assert run.state == "SUCCEEDED", run.summary()
        run.tasks["Evaluator"].outputs["metrics"].metadata["f1"]
        cluster.store.path(run.tasks["Evaluator"].outputs["page"].uri).read_text()

Like a cluster, it separates URIs of the object store from paths in a container, the files of one container from those
of the next, and the types that a package declares from the untyped inputs that a container gets. Each step has its own
root file system: the host's system folders, this checkout and its environment, all read-only; /minio, /s3, /gcs and
/tmp, empty; and volumes, mounted where the platform spec says.

`python -m X` steps are forked from a process that has imported `preload` (once, at the first step). A forked step has
its own environment variables, but libraries have read theirs at import; `fork=False` starts a process for each step.

Loops, conditions and nesting are not supported: they raise NotImplementedError.
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
    execution_order,
    executor_input,
    load_package,
    run_parameters,
    upstream_tasks,
)
from kfp_emulator.kubernetes_rules import refusals
from kfp_emulator.launcher import Launcher, LauncherError, Outputs
from kfp_emulator.metadata import Artifact, Metadata
from kfp_emulator.object_store import ObjectStore, local_path
from kfp_emulator.platform_spec import volumes_and_environment
from kfp_emulator.pods.pod import Fault, Pod, PodServer
from kfp_emulator.retries import NoRetry, RetryStrategy

__all__ = ["Artifact", "Emulator", "Fault", "Run", "Task"]


@dataclass
class Task:
    """A task and its outcome.

    Attributes:
        name: The task's name.
        state: SUCCEEDED, FAILED, or SKIPPED because an upstream task failed.
        attempts: Number of pods started; 0 for an importer, a cached task or a failure of the driver.
        cached: Whether the outputs are those of an earlier run.
        seconds: Duration of all attempts together, with what faults add to them.
        deadlines: For each attempt, the seconds after which its pod would be ended.
        logs: One file per attempt.
        outputs: Recorded artifacts by key, with `executor-logs`; empty if the task failed.
        parameters: Output parameters.
        error: Message of the driver or launcher if the task failed.
        executor_input: What the driver passed to the launcher.
    """

    name: str
    state: str = "SKIPPED"
    attempts: int = 0
    cached: bool = False
    seconds: float = 0.0
    deadlines: list[float] = field(default_factory=list)
    logs: list[Path] = field(default_factory=list)
    outputs: dict[str, Artifact] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    executor_input: dict[str, Any] = field(default_factory=dict)

    @property
    def log(self) -> str:
        """The logs of all attempts."""
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
        """One line per task, and the end of the log of each failed task."""
        lines = []
        for task in self.tasks.values():
            lines.append(f"{task.name}: {task.state}, {task.attempts} attempts, {task.seconds:.1f} s {task.error}")
            lines += [f"    {line}" for line in task.log.splitlines()[-40:] if task.state == "FAILED"]
        return "\n".join(lines)


class Emulator:
    """A cluster with KFP: its runs share an object store, metadata and a cache.

    Args:
        folder: Holds `store/`, `pods/` (removed after each attempt) and `logs/RUN/TASK-ATTEMPT.log`.
        preload: Modules that are imported before steps are forked.
        fork: Whether `python -m` steps are forked; else each is a new process.
        pipeline_root: A folder in the object store.
        claims: PersistentVolumeClaim -> host folder.
        secrets: Secret -> key -> value.
        environment: Variables that the image sets, besides PATH, HOME and LANG.
        strict_outputs: Whether a declared output that a container does not write fails its task.
        cache: Whether tasks that allow caching take outputs of an earlier run; `run` can override it.
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
            parameters: Parameters of the run.
            faults: Pods to kill.
            before: Task -> called between its driver and its first pod, for example to delete an artifact.
            tasks: Run only these and their upstream tasks.
            cache: Overrides the emulator's `cache`.

        Raises:
            driver.InvalidInputError: The API server would not create the run.
        """
        loaded = load_package(package)
        values = run_parameters(loaded, dict(parameters or {}))
        order = execution_order(loaded)
        wanted = set(order) if tasks is None else _with_upstream_tasks(loaded, tasks)
        if unknown := ({fault.task for fault in faults} | set(before or {}) | wanted) - set(order):
            raise ValueError(f"the package has no task {', '.join(sorted(unknown))}")
        run_id = str(uuid.uuid4())
        run = Run(run_id, f"{self._pipeline_root}/{loaded.spec['pipelineInfo']['name']}/{run_id}", values)
        for name in (name for name in order if name in wanted):
            task = run.tasks[name] = Task(name)
            if all(run.tasks[upstream].state == "SUCCEEDED" for upstream in upstream_tasks(loaded, name)):
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
        # getFingerPrintsAndID of v2/driver/cache.go: a task without caching neither reads the cache nor enters it.
        may_cache = package.tasks[task.name].get("cachingOptions", {}).get("enableCache")
        caching = may_cache and (self._use_cache if cache is None else cache)
        if caching and (cached := self._cache.get(fingerprint)):
            task.outputs, task.parameters = dict(cached.artifacts), dict(cached.parameters)
            task.state, task.cached = "SUCCEEDED", True
            return
        if refused := [*refusals(package.kubernetes(task.name), executor["container"])]:
            raise DriverError(f"Kubernetes refuses the pod: {'; '.join(refused)}")
        if before:
            before(task)
        # A retry is a new pod of the same template: the driver does not run again and the output URIs stay.
        strategy, waited, timeout = RetryStrategy.of(package.tasks[task.name]), 0.0, _timeout(package, task)
        task.deadlines.append(timeout)
        while not self._attempt(package, run, task, faults):
            fault = _fault(faults, task)
            try:
                waited += strategy.wait(task.attempts, waited + task.seconds, bool(fault and fault.lost))
            except NoRetry as reason:
                task.error += f" ({reason})" if str(reason) else ""
                return
            task.deadlines.append(min(timeout, strategy.window - waited - task.seconds))
        if caching:
            self._cache[fingerprint] = Outputs(task.outputs, task.parameters)

    def _attempt(self, package: Package, run: Run, task: Task, faults: Sequence[Fault]) -> bool:
        """Starts the next pod of a task; returns whether it succeeded."""
        task.attempts += 1
        log = self.folder / "logs" / run.id / f"{task.name}-{task.attempts}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.touch()
        task.logs.append(log)
        container = package.executor(task.name)["container"]
        name = f"{package.spec['pipelineInfo']['name']}-{run.id[:5]}-{task.name.lower()}-{task.attempts}"
        pod = Pod(self.folder / "pods" / name, log, {"KFP_POD_NAME": name, "KFP_POD_UID": str(uuid.uuid4())})
        pod.environment |= self.environment
        pod.environment |= {variable["name"]: variable.get("value", "") for variable in container.get("env", [])}
        started, fault = time.monotonic(), _fault(faults, task)
        try:
            volumes_and_environment(package.kubernetes(task.name), pod, run.parameters, self.claims, self.secrets)
            outputs = self._launcher.execute(
                package.component(task.name), container, task.executor_input, run.root, pod, task.attempts - 1, fault
            )
            task.outputs, task.parameters = outputs.artifacts, outputs.parameters
            task.state, task.error = "SUCCEEDED", ""
        except LauncherError as error:
            task.state, task.error = "FAILED", str(error)
        finally:
            task.seconds += time.monotonic() - started + (fault.seconds if fault else 0)
            pod.remove()
        return task.state == "SUCCEEDED"

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


def _with_upstream_tasks(package: Package, tasks: Sequence[str]) -> set[str]:
    needed = set(tasks)
    for task in tasks:
        needed |= _with_upstream_tasks(package, sorted(upstream_tasks(package, task)))
    return needed


def _fault(faults: Sequence[Fault], task: Task) -> Fault | None:
    """The fault of a task's newest attempt."""
    return next((fault for fault in faults if fault.task == task.name and task.attempts in fault.attempts), None)


def _timeout(package: Package, task: Task) -> float:
    return float(package.kubernetes(task.name).get("activeDeadlineSeconds", "inf"))


def _fingerprint(package: Package, task: Task) -> str:
    """GenerateCacheKey of v2/cacheutils/cache.go: of an artifact only the id counts, not the content."""
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
