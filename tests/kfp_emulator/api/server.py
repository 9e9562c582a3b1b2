"""A loopback HTTP server with the KFP v2beta1 REST API, for kfp.Client and for requests beside it.

    with ApiServer() as server:
        client = kfp.Client(host=server.url)
        run = client.create_run_from_pipeline_package("package.yaml", experiment_name="videos")
        server.advance(run.run_id, "RUNNING", {"Trainer": "RUNNING"})
        server.execute(run.run_id, emulator)                # or execute the whole run
        server.inject_error("GET", "/runs/", status=503, times=2)
        server.inject_error("POST", "/runs$", drop="response")  # the run is created, but the client gets no response
        server.requests                                     # method, path, query, headers and body of each

It keeps state (state.py), rejects what the real server rejects, and answers errors in the real server's two forms: the
gRPC gateway's {"error", "code", "message", "details"} and the uploads' {"error_message", "error_details"}. As in the
real answer, a run's task_details are the nodes of its Argo workflow: for each task one with its name, one named
`NAME-driver` and one named `executor` (the pod with the logs), without inputs or outputs.
"""

import base64
import json
import re
import threading
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import unquote

from kfp_emulator.api.state import ApiError, Json, State, UploadError, get, page
from kfp_emulator.api.transport import Handler, InjectedError, Request, uploaded
from kfp_emulator.emulator import Emulator, Run

ENDED = {"SUCCEEDED", "FAILED", "CANCELED", "SKIPPED"}


@dataclass
class ApiServer:
    """The server; tests read and change its attributes.

    Attributes:
        token: If set, requests without this bearer token are answered 401.
        healthz: The answer to a health check; backends before 2.14 have no pipeline_store in it.
        state: All resources by id.
        requests: All requests in order.
        logs: Argo node (pod) -> its log.
        objects: URI -> content, for the UI's artifact endpoint.
        artifacts: (run, node, artifact) -> content, for the API's artifact endpoint.
    """

    token: str = ""
    healthz: Json | bytes = field(default_factory=lambda: {"multi_user": False, "pipeline_store": "database"})
    state: State = field(default_factory=State)
    requests: list[Request] = field(default_factory=list)
    logs: dict[str, str] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    artifacts: dict[tuple[str, str, str], bytes] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self._injected_errors: list[InjectedError] = []
        self._when_read: dict[str, tuple[str, Mapping[str, str], str, int]] = {}
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

    def inject_error(
        self,
        method: str = "",
        path: str = "",
        *,
        status: int = 0,
        message: str = "broken on purpose",
        drop: str = "",
        times: int = 1,
    ) -> None:
        """Fails the next `times` requests that match.

        Args:
            method: HTTP method; any if empty.
            path: A regular expression that is searched in the path.
            status: HTTP status of the answer; the request has no effect.
            message: Message of that answer.
            drop: `request`: the connection breaks before the request has an effect; `response`: after it.
            times: Number of requests.
        """
        self._injected_errors.append(InjectedError(method, path, status, message, drop, times))

    def advance(
        self, run_id: str, state: str, tasks: Mapping[str, str] | None = None, error: str = "", retries: int = 0
    ) -> Json:
        """Sets the state of a run.

        Args:
            run_id: The run.
            state: Its new state.
            tasks: Task -> its new state; other tasks keep theirs.
            error: Error message of the run.
            retries: Number of failed pods of each of these tasks before the one in that state.
        """
        with self._lock:
            return self._advance(run_id, state, tasks or {}, error, retries)

    def advance_when_read(
        self, run_id: str, state: str, tasks: Mapping[str, str] | None = None, error: str = ""
    ) -> None:
        """Sets the state of a run as soon as a client has read it, as if it ended while the client waits."""
        self._when_read[run_id] = (state, tasks or {}, error, 0)

    def _advance(self, run_id: str, state: str, tasks: Mapping[str, str], error: str, retries: int) -> Json:
        run, now = self.state.runs[run_id], self.state.now()
        run["state_history"].append({"update_time": now, "state": state})
        run["state"] = state
        if state in ENDED:
            run["finished_at"] = now
        if error:
            run["error"] = {"code": 13, "message": error}
        details = run.setdefault("run_details", {}).setdefault("task_details", [])
        for name, task_state in tasks.items():
            details[:] = [node for node in details if node["_task"] != name]
            details += self._nodes(run_id, name, task_state, now, retries)
        return run

    def _nodes(self, run_id: str, name: str, state: str, now: str, retries: int) -> list[Json]:
        """The Argo nodes of a task, in the form of toModelTasks of server/api_converter.go."""
        kinds = [("dag", name, state), ("driver", f"{name}-driver", "SUCCEEDED")]
        kinds += [("impl", f"executor({attempt})", "FAILED") for attempt in range(retries)]
        kinds += [("impl", f"executor({retries})" if retries else "executor", state)]
        nodes = []
        for number, (kind, display, node_state) in enumerate(kinds):
            pod = f"run-{run_id[:5]}-{kind}-{name.lower()}-{number}"
            node = {"run_id": run_id, "task_id": f"{pod}-id", "display_name": display, "pod_name": pod, "_task": name}
            node |= {"create_time": now, "start_time": now, "state": node_state}
            node["end_time"] = now if node_state in ENDED else "1970-01-01T00:00:00Z"
            nodes.append(node | {"child_tasks": []})
        nodes[0]["child_tasks"] = [{"pod_name": node["pod_name"]} for node in nodes[1:]]
        return nodes

    def execute(self, run_id: str, cluster: Emulator, **options: Any) -> Run:
        """Executes a pending run on an emulator; the run gets its final state and the logs of its pods.

        Args:
            run_id: The run.
            cluster: The emulator.
            options: Options of Emulator.run.
        """
        run = self.state.runs[run_id]
        package = cluster.folder / f"{run_id}.yaml"
        package.parent.mkdir(parents=True, exist_ok=True)
        package.write_text(self.state.package(run))
        ended = cluster.run(package, run.get("runtime_config", {}).get("parameters") or {}, **options)
        for task in ended.tasks.values():
            self.advance(run_id, "RUNNING", {task.name: task.state}, retries=max(task.attempts - 1, 0))
            nodes = [node for node in run["run_details"]["task_details"] if node["_task"] == task.name]
            for node, log in zip(nodes[2:], task.logs, strict=False):
                self.logs[node["pod_name"]] = log.read_text(errors="replace")
        self.advance(run_id, ended.state, error="" if ended.state == "SUCCEEDED" else "a task of the run failed")
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
        name = f"Run of {recurring['display_name']} ({recurring_run_id[:5]})"
        return self.state.create_run(body | {"display_name": name, "recurring_run_id": recurring_run_id})

    def _answer(self, request: Request) -> tuple[int, str, bytes]:
        """Status, content type and body of an answer."""
        self.requests.append(request)
        try:
            if self.token and request.headers.get("authorization") != f"Bearer {self.token}":
                raise ApiError(401, "Unauthenticated: the request has no valid bearer token")
            for method, pattern, act in self._routes():
                if method == request.method and (match := re.fullmatch(pattern, request.path)):
                    answer = act(request, *map(unquote, match.groups()))
                    break
            else:
                raise ApiError(404, "Not Found")
        except ApiError as error:
            return error.status, "application/json", json.dumps(error.body()).encode()
        if isinstance(answer, bytes):
            return 200, "text/plain", answer
        return 200, "application/json", json.dumps(answer, default=str).encode()

    def _routes(self) -> list[tuple[str, str, Callable[..., Any]]]:
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
                lambda r, key: _listed("pipeline_versions", state.versions_of(key), r.query),
            ),
            (
                "GET",
                f"{api}/pipelines/[^/]+/versions/([^/]+)",
                lambda r, key: get(state.versions, key, "PipelineVersion"),
            ),
            (
                "DELETE",
                f"{api}/pipelines/[^/]+/versions/([^/]+)",
                lambda r, key: _delete(state.versions, key),
            ),
            ("POST", f"{api}/experiments", lambda r: state.create_experiment(r.body)),
            ("POST", f"{api}/runs", lambda r: state.create_run(r.body)),
            ("GET", f"{api}/runs/([^/:]+)", lambda r, key: self._read_run(key)),
            ("POST", f"{api}/runs/([^/:]+):terminate", lambda r, key: self._terminate(key)),
            ("POST", f"{api}/recurringruns", lambda r: state.create_recurring_run(r.body)),
            ("POST", f"{api}/recurringruns/([^/:]+):enable", lambda r, key: state.set_mode(key, True, {})),
            ("POST", f"{api}/recurringruns/([^/:]+):disable", lambda r, key: state.set_mode(key, False, {})),
            ("GET", "/apis/v1alpha1/runs/[^/]+/nodes/([^/]+)/log", lambda r, node: self._log(node)),
            ("GET", f"{api}/runs/([^/]+)/nodes/([^/]+)/artifacts/([^/]+):read", lambda r, *key: self._artifact(key)),
            ("GET", "/k8s/pod/logs", lambda r: self._log(r.query["podname"])),
            ("GET", "/artifacts/get", lambda r: self._object("{source}://{bucket}/{key}".format(**r.query))),
        ]
        for plural, (resources, kind) in kinds.items():
            routes += [
                ("GET", f"{api}/{plural}", lambda r, all=resources, name=plural: self._list(name, all, r.query)),
                ("GET", f"{api}/{plural}/([^/:]+)", lambda r, key, all=resources, k=kind: _shown(get(all, key, k))),
                ("DELETE", f"{api}/{plural}/([^/:]+)", lambda r, key, all=resources: _delete(all, key)),
            ]
        return routes

    def _list(self, plural: str, resources: dict[str, Json], query: dict[str, str]) -> Json:
        listed = list(resources.values())
        if experiment := query.get("experiment_id"):
            listed = [resource for resource in listed if resource.get("experiment_id") == experiment]
        return _listed("recurringRuns" if plural == "recurringruns" else plural, listed, query)

    def _pipeline_named(self, name: str) -> Json:
        pipelines = [pipeline for pipeline in self.state.pipelines.values() if pipeline["name"] == name]
        return pipelines[0] if pipelines else get({}, name, "Pipeline")

    def _read_run(self, key: str) -> Json:
        run = deepcopy(_shown(get(self.state.runs, key, "Run")))
        if key in self._when_read:
            self._advance(key, *self._when_read.pop(key))  # the request has the lock
        return run

    def _terminate(self, key: str) -> Json:
        """TerminateRun of storage/run_store.go: the final state follows when Argo has stopped the pods."""
        if get(self.state.runs, key, "Run")["state"] not in ("PENDING", "RUNNING", "PAUSED"):
            raise ApiError(400, f"Failed to terminate a run {key}. Row not found")
        self._advance(key, "CANCELING", {}, "", 0)  # the request has the lock
        return {}

    def _log(self, node: str) -> bytes:
        if node not in self.logs:
            raise ApiError(500, f"Failed to read run log: pod {node} not found")
        return self.logs[node].encode()

    def _artifact(self, key: tuple[str, ...]) -> Json:
        if key not in self.artifacts:
            raise UploadError(404, f"Failed to read artifact: {key[-1]} not found")
        return {"data": base64.b64encode(self.artifacts[key]).decode()}

    def _object(self, uri: str) -> bytes:
        if uri not in self.objects:
            raise ApiError(404, f"Failed to get object {uri}")
        return self.objects[uri]


def _listed(name: str, resources: list[Json], query: dict[str, str]) -> Json:
    on_page, rest = page(resources, query)
    return ({name: [_shown(resource) for resource in on_page]} if on_page else {}) | rest


def _shown(resource: Json) -> Json:
    """A resource without the keys that only this server uses."""
    if "run_details" not in resource:
        return resource
    details = [{k: v for k, v in node.items() if k != "_task"} for node in resource["run_details"]["task_details"]]
    return resource | {"run_details": {"task_details": details}}


def _delete(resources: dict[str, Json], key: str) -> Json:
    get(resources, key, "resource")
    del resources[key]
    return {}
