"""A loopback HTTP server with KFP's REST API, for kfp.Client and for requests beside it.

    with ApiServer() as server:
        client = kfp.Client(host=server.url)
        run = client.create_run_from_pipeline_package("package.yaml", experiment_name="videos")
        server.advance(run.run_id, "RUNNING", {"Trainer": "RUNNING"})
        server.execute(run.run_id, emulator)                # or execute the whole run
        server.inject_error("GET", "/runs/", status=503, times=2)
        server.inject_error("POST", "/runs$", drop="response")  # the run is created, but the client gets no response
        server.requests                                     # method, path, query, headers and body of each

It keeps state (state.py), rejects what the real server rejects, and answers as KFP 2.17.0 does in recorded/: a run's
task_details have no pods (v2beta1), its Argo workflow is in the v1beta1 answer (argo.py), a log that cannot be read is
HTTP 200 with an error in the body, and nothing tells that a workflow was deleted. With `as_ui`, it answers as the UI's
server does (ui.py).
"""

import json
import re
import threading
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote

from kfp_emulator.api import argo, ui
from kfp_emulator.api.state import ApiError, Json, State, delete, get, listed, require_namespace
from kfp_emulator.api.transport import Handler, InjectedError, Request, as_bytes, uploaded
from kfp_emulator.emulator import Emulator, Run
from kfp_emulator.object_store import ObjectStore

ENDED = {"SUCCEEDED", "FAILED", "CANCELED", "SKIPPED"}
RECORDED = Path(__file__).parent / "recorded"
NAMESPACE = "kubeflow"
# Where Kubernetes' API passes requests on; it joins paths, so that a doubled slash is one.
SERVICE = "/api/v1/namespaces/kubeflow/services/ml-pipeline:http/proxy"


@dataclass
class ApiServer:
    """The server; tests read and change its attributes.

    Attributes:
        token: If set, requests without this bearer token are answered 401.
        as_ui: Whether it is the UI's server, which passes requests on.
        as_kubernetes: Whether it is Kubernetes' API server, which passes on what is under the path of the service.
        multi_user: Whether several users share it: lists and new resources need a namespace.
        healthz: The API server's answer to a health check; before 2.14, it has no pipeline_store.
        state: All resources by id.
        workflows: Argo workflow of each run, by the run's id.
        requests: All requests in order.
        logs: Pod -> its log, as long as the pod or Argo's archive has it; bytes where they are not UTF-8.
        objects: URI -> content of the object store, besides what `execute` has written to `store`.
        store: The object store of the emulator that executed runs.
    """

    token: str = ""
    as_ui: bool = False
    as_kubernetes: bool = False
    multi_user: bool = False
    healthz: Json | bytes = field(default_factory=lambda: {"multi_user": False, "pipeline_store": "database"})
    state: State = field(default_factory=State)
    workflows: dict[str, Json] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    logs: dict[str, str | bytes] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    store: ObjectStore | None = None

    def __enter__(self) -> Self:
        self._injected_errors: list[InjectedError] = []
        self._when_read: dict[str, tuple[str, Mapping[str, str], Json]] = {}
        members = {"injected_errors": self._injected_errors, "requests": self.requests, "answer": self._answer}
        self._lock = threading.Lock()  # clients may ask while a test changes a run
        members |= {"lock": self._lock} | {f"do_{method}": Handler.serve for method in ("GET", "POST", "DELETE")}
        handler = type("Handler", (Handler,), members)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def changes(self) -> list[str]:
        """Paths of all requests other than GET."""
        return [request.path for request in self.requests if request.method != "GET"]

    def inject_error(self, method: str = "", path: str = "", **answer: Any) -> None:
        """Changes the answer to the next requests that match; the arguments are those of InjectedError."""
        self._injected_errors.append(InjectedError(method, path, **answer))

    def advance(self, run_id: str, state: str, tasks: Mapping[str, str] | None = None, **step: Any) -> list[str]:
        """Sets the state of a run.

        Args:
            run_id: The run.
            state: Its new state.
            tasks: Task -> its new state; other tasks keep theirs.
            step: Options of argo.set_step, for each of these tasks.

        Returns:
            The pods of these tasks, without those of drivers.
        """
        with self._lock:
            return self._advance(run_id, state, tasks or {}, step)

    def advance_when_read(self, run_id: str, state: str, tasks: Mapping[str, str] | None = None, **step: Any) -> None:
        """Sets the state of a run as soon as a client has read it, as if it ended while the client waits."""
        self._when_read[run_id] = (state, tasks or {}, step)

    def _advance(self, run_id: str, state: str, tasks: Mapping[str, str], step: Json) -> list[str]:
        run, now = self.state.runs[run_id], self.state.now()
        run["state_history"].append({"update_time": now, "state": state})
        run["state"] = state
        if state in ENDED:
            run["finished_at"] = now  # but no `error`, also if it failed
        pods = []
        for name, task_state in tasks.items():
            nodes = argo.set_step(self._workflow(run_id), name, task_state, now, **step)
            pods += [argo.pod(node) for node in nodes[1:]]
            for node in nodes:
                self.logs.setdefault(argo.pod(node), "")
        return pods

    def _workflow(self, run_id: str) -> Json:
        if run_id not in self.workflows:
            root = self.state.runs[run_id].get("runtime_config", {}).get("pipeline_root")
            self.workflows[run_id] = argo.workflow(
                f"yt8m-{run_id[:5]}", NAMESPACE, run_id, root or "minio://mlpipeline/v2/artifacts"
            )
        return self.workflows[run_id]

    def uri(self, run_id: str, step: str, artifact: str) -> str:
        """URI of an artifact of a step that was set by `advance`."""
        return argo.artifact_uri(self._workflow(run_id), step, artifact)

    def replay(self, name: str) -> str:
        """Adds a recorded run; returns its id."""
        recorded = json.loads((RECORDED / f"{name}.json").read_text())
        run = recorded["v2beta1"]
        self.state.runs[run["run_id"]] = run
        if "workflow" in recorded:
            self.workflows[run["run_id"]] = recorded["workflow"]
            for node in recorded["workflow"]["status"]["nodes"].values():
                if node["type"] == "Pod":
                    self.logs[argo.pod(node)] = ""
        return run["run_id"]

    def delete_pods(self, run_id: str) -> None:
        """Deletes the pods of a run, and what Argo's archive has of them: all that shows of a deleted workflow, too."""
        for node in self._workflow(run_id)["status"]["nodes"].values():
            self.logs.pop(argo.pod(node), None)

    def execute(self, run_id: str, cluster: Emulator, **options: Any) -> Run:
        """Executes a pending run on an emulator; the run gets its final state and the logs of its pods.

        Args:
            run_id: The run.
            cluster: The emulator.
            options: Options of Emulator.run.
        """
        run, self.store = self.state.runs[run_id], cluster.store
        package = cluster.folder / f"{run_id}.yaml"
        package.parent.mkdir(parents=True, exist_ok=True)
        package.write_text(self.state.package(run))
        ended = cluster.run(package, run.get("runtime_config", {}).get("parameters") or {}, **options)
        for task in ended.tasks.values():
            step = {"retries": max(task.attempts - 1, 0), "executor_input": task.executor_input}
            pods = self.advance(run_id, "RUNNING", {task.name: task.state}, **step)
            for pod, log in zip(pods, task.logs, strict=False):
                self.logs[pod] = log.read_text(errors="replace")
        self.advance(run_id, ended.state)
        return ended

    def tick(self, recurring_run_id: str) -> Json | None:
        """Starts a run of a schedule, as KFP's scheduler does when it is due; None if the schedule is disabled."""
        recurring = self.state.recurring_runs[recurring_run_id]
        if recurring["status"] != "ENABLED":
            return None
        now = self.state.now()
        keys = ("experiment_id", "pipeline_spec", "pipeline_version_reference", "service_account", "runtime_config")
        body = {key: json.loads(json.dumps(recurring[key])) for key in keys if key in recurring}
        parameters = body.get("runtime_config", {}).get("parameters", {})
        for key, value in parameters.items():
            if isinstance(value, str):
                parameters[key] = value.replace("[[ScheduledTime]]", re.sub(r"\D", "", now))
        name = f"{recurring['display_name']}{recurring_run_id[:5]}-1-{len(self.state.runs)}"  # that of its workflow
        return self.state.create_run(body | {"display_name": name, "recurring_run_id": recurring_run_id})

    def _answer(self, request: Request) -> tuple[int, str, bytes]:
        """Status, content type and body of an answer."""
        self.requests.append(request)
        try:
            if self.token and request.headers.get("authorization") != f"Bearer {self.token}":
                raise ApiError(401, "Unauthenticated: the request has no valid bearer token")
            if self.multi_user:
                body = request.body if isinstance(request.body, dict) else {}
                require_namespace(request.path, request.query | body)
            path = request.path
            if self.as_kubernetes:
                path = f"/{path.removeprefix(SERVICE).lstrip('/')}" if path.startswith(SERVICE) else ""
            for method, pattern, act in self._routes():
                if method == request.method and (match := re.fullmatch(pattern, path)):
                    answer = act(request, *map(unquote, match.groups()))
                    break
            else:
                raise ApiError(404, "Not Found")
        except ApiError as error:
            if isinstance(text := error.body(), str):
                return error.status, "text/plain; charset=utf-8", text.encode()
            return error.status, "application/json", json.dumps(text).encode()
        if isinstance(answer, bytes):
            return 200, "text/plain; charset=utf-8", answer
        return 200, "application/json", json.dumps(answer, default=str).encode()

    def _routes(self) -> list[tuple[str, str, Callable[..., Any]]]:
        return ui.routes(self, self._api_routes()) if self.as_ui else self._api_routes()

    def _api_routes(self) -> list[tuple[str, str, Callable[..., Any]]]:
        state, api = self.state, "/apis/v2beta1"
        kinds = {
            "experiments": (state.experiments, "Experiment"),
            "pipelines": (state.pipelines, "Pipeline"),
            "runs": (state.runs, "Run"),
            "recurringruns": (state.recurring_runs, "RecurringRun"),
        }
        routes: list[tuple[str, str, Callable[..., Any]]] = [
            ("GET", f"{api}/healthz", lambda r: self.healthz),
            ("POST", f"{api}/pipelines/upload", lambda r: state.upload(uploaded(r), r.query)),
            ("POST", f"{api}/pipelines/upload_version", lambda r: state.upload_version(uploaded(r), r.query)),
            ("POST", f"{api}/pipelines", lambda r: state.create_pipeline(r.body)),
            ("GET", f"{api}/pipelines/names/(.+)", lambda r, name: self._pipeline_named(name)),
            (
                "GET",
                f"{api}/pipelines/([^/]+)/versions",
                lambda r, key: listed("pipeline_versions", state.versions_of(key), r.query),
            ),
            (
                "GET",
                f"{api}/pipelines/[^/]+/versions/([^/]+)",
                lambda r, key: get(state.versions, key, "PipelineVersion"),
            ),
            (
                "DELETE",
                f"{api}/pipelines/[^/]+/versions/([^/]+)",
                lambda r, key: delete(state.versions, key),
            ),
            ("POST", f"{api}/experiments", lambda r: state.create_experiment(r.body)),
            ("POST", f"{api}/runs", lambda r: state.create_run(r.body)),
            ("GET", f"{api}/runs/([^/:]+)", lambda r, key: self._read_run(key)),
            ("POST", f"{api}/runs/([^/:]+):terminate", lambda r, key: self._terminate(key)),
            ("POST", f"{api}/recurringruns", lambda r: state.create_recurring_run(r.body)),
            ("POST", f"{api}/recurringruns/([^/:]+):enable", lambda r, key: state.set_mode(key, True, {})),
            ("POST", f"{api}/recurringruns/([^/:]+):disable", lambda r, key: state.set_mode(key, False, {})),
            ("GET", "/apis/v1alpha1/runs/[^/]+/nodes/([^/]+)/log", lambda r, node: self._log(node)),
            ("GET", "/apis/v1beta1/runs/([^/:]+)", lambda r, key: self._read_run_with_workflow(key)),
        ]
        for plural, (resources, kind) in kinds.items():
            routes += [
                ("GET", f"{api}/{plural}", lambda r, all=resources, name=plural: self._list(name, all, r.query)),
                ("GET", f"{api}/{plural}/([^/:]+)", lambda r, key, all=resources, k=kind: get(all, key, k)),
                ("DELETE", f"{api}/{plural}/([^/:]+)", lambda r, key, all=resources: delete(all, key)),
            ]
        return routes

    def _list(self, plural: str, resources: dict[str, Json], query: dict[str, str]) -> Json:
        found = list(resources.values())
        if experiment := query.get("experiment_id"):
            found = [resource for resource in found if resource.get("experiment_id") == experiment]
        if plural == "runs":
            found = [self._shown(run) for run in found]
        return listed("recurringRuns" if plural == "recurringruns" else plural, found, query)

    def _pipeline_named(self, name: str) -> Json:
        pipelines = [pipeline for pipeline in self.state.pipelines.values() if pipeline["name"] == name]
        return pipelines[0] if pipelines else get({}, name, "Pipeline")

    def _read_run(self, key: str) -> Json:
        run = deepcopy(self._shown(get(self.state.runs, key, "Run")))
        if key in self._when_read:
            self._advance(key, *self._when_read.pop(key))  # the request has the lock
        return run

    def _terminate(self, key: str) -> Json:
        """TerminateRun of storage/run_store.go: the final state follows when Argo has stopped the pods."""
        if get(self.state.runs, key, "Run")["state"] not in ("PENDING", "RUNNING", "PAUSED"):
            raise ApiError(400, f"Failed to terminate a run {key}. Row not found")
        self._advance(key, "CANCELING", {}, {})  # the request has the lock
        return {}

    def _shown(self, run: Json) -> Json:
        if "run_details" in run:  # recorded
            return run
        details = argo.task_details(self._workflow(run["run_id"]), run["run_id"])
        return run | ({"run_details": {"task_details": details}} if details else {})

    def _read_run_with_workflow(self, key: str) -> Json:
        """The v1beta1 answer; the workflow is JSON in a string."""
        run = get(self.state.runs, key, "Run")
        workflow = {name: part for name, part in self._workflow(key).items() if not name.startswith("_")}
        shown = {"id": key, "name": run["display_name"], "created_at": run["created_at"]}
        return {"run": shown, "pipeline_runtime": {"workflow_manifest": json.dumps(workflow)}}

    def _log(self, pod: str) -> bytes:
        """The log; where pod and archive lack it, HTTP 200 with the error as body (recorded/log_missing_pod.json)."""
        if pod not in self.logs:
            return (RECORDED / "log_missing_pod.json").read_text().replace("no-such-pod", pod).encode()
        return as_bytes(self.logs[pod])
