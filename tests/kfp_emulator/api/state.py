"""The resources of a KFP API server: experiments, pipelines, versions, runs, recurring runs (backend/src/apiserver)."""

import base64
import json
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import yaml

from kfp_emulator.driver import InvalidInputError, Package, check_documents, check_tasks, parse_package, run_parameters

CODES = {400: 3, 401: 16, 403: 7, 404: 5, 409: 6, 500: 13, 501: 12, 503: 14}
OPERATIONS = {1: "EQUALS", 2: "NOT_EQUALS", 3: "GREATER_THAN", 5: "GREATER_THAN_EQUALS", 8: "IN", 9: "IS_SUBSTRING"}

Json = dict[str, Any]


class ApiError(Exception):
    """An answer other than 200, in the form of the gRPC gateway (ToGRPCError of common/util/error.go)."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message

    def body(self) -> Json | str:
        code = CODES.get(self.status, 2)
        details = [{"@type": "type.googleapis.com/google.rpc.Status", "code": code, "message": self.message}]
        return {"code": code, "message": self.message, "details": details}


class UploadError(ApiError):
    """An error of the two upload endpoints, which don't use gRPC (server/pipeline_upload_server.go)."""

    def body(self) -> Json | str:
        return {"error_message": self.message, "error_details": self.message}


class State:
    """All resources by id, as the API returns them. Their times are a second apart, so that they sort by creation."""

    def __init__(self) -> None:
        self.experiments: dict[str, Json] = {}
        self.pipelines: dict[str, Json] = {}
        self.versions: dict[str, Json] = {}
        self.runs: dict[str, Json] = {}
        self.recurring_runs: dict[str, Json] = {}
        self._ticks = count()
        self.create_experiment({"display_name": "Default"})

    def now(self) -> str:
        moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=next(self._ticks))
        return moment.strftime("%Y-%m-%dT%H:%M:%SZ")

    # Experiments

    def create_experiment(self, body: Json) -> Json:
        if any(existing["display_name"] == body["display_name"] for existing in self.experiments.values()):
            raise ApiError(409, f"Failed to create experiment: the name {body['display_name']} already exist")
        experiment = {"experiment_id": str(uuid.uuid4()), "created_at": self.now(), "storage_state": "AVAILABLE"} | body
        self.experiments[experiment["experiment_id"]] = experiment
        return experiment

    # Pipelines and versions

    def upload(self, text: str, query: dict[str, str]) -> Json:
        """A new pipeline with its first version, which has the same name."""
        package = _accepted(text)
        name = query.get("name") or package.spec["pipelineInfo"]["name"]
        if any(existing["name"] == name for existing in self.pipelines.values()):
            raise UploadError(409, "Failed to create a pipeline and a pipeline version")
        pipeline = {
            "pipeline_id": str(uuid.uuid4()),
            "name": name,
            "display_name": query.get("display_name") or name,
            "description": query.get("description", ""),
            "created_at": self.now(),
        }
        self.pipelines[pipeline["pipeline_id"]] = pipeline
        self._add_version(pipeline["pipeline_id"], name, text, query)
        return pipeline

    def create_pipeline(self, body: Json) -> Json:
        """A pipeline without versions."""
        name = body.get("name") or body.get("display_name")
        if not name:
            raise ApiError(400, "Failed to create a pipeline: pipeline's name cannot be empty")
        if any(existing["name"] == name for existing in self.pipelines.values()):
            raise ApiError(409, f"Failed to create a pipeline: the name {name} already exist")
        pipeline = {"pipeline_id": str(uuid.uuid4()), "name": name, "display_name": body.get("display_name") or name}
        self.pipelines[pipeline["pipeline_id"]] = pipeline | {"created_at": self.now()}
        return self.pipelines[pipeline["pipeline_id"]]

    def upload_version(self, text: str, query: dict[str, str]) -> Json:
        """A version of a pipeline; its name must be new in that pipeline."""
        _accepted(text)
        if query.get("pipelineid") not in self.pipelines:
            raise UploadError(400, "Failed to create a pipeline version")
        if any(existing["name"] == query["name"] for existing in self.versions_of(query["pipelineid"])):
            raise UploadError(409, "Failed to create a pipeline version")
        return self._add_version(query["pipelineid"], query["name"], text, query)

    def versions_of(self, pipeline: str) -> list[Json]:
        return [version for version in self.versions.values() if version["pipeline_id"] == pipeline]

    def _add_version(self, pipeline: str, name: str, text: str, query: dict[str, str]) -> Json:
        version = {
            "pipeline_id": pipeline,
            "pipeline_version_id": str(uuid.uuid4()),
            "name": name,
            "display_name": query.get("display_name") or name,
            "description": query.get("description", ""),
            "created_at": self.now(),
            "pipeline_spec": _as_spec(text),
        }
        if "tags" in query:
            version["tags"] = json.loads(query["tags"])
        self.versions[version["pipeline_version_id"]] = version
        return version

    # Runs

    def create_run(self, body: Json) -> Json:
        """CreateRun: resolves the version, checks the parameters, compiles to Argo."""
        package, reference = self._package(body, "Failed to create a new run")
        try:
            check_tasks(package)
            run_parameters(package, body.get("runtime_config", {}).get("parameters") or {})
        except InvalidInputError as error:
            raise ApiError(400, f"Failed to create a new run: InvalidInputError: {error}") from error
        now = self.now()
        run = {
            "run_id": str(uuid.uuid4()),
            "experiment_id": next(iter(self.experiments)),
            "storage_state": "AVAILABLE",
            "created_at": now,
            "scheduled_at": now,
            "finished_at": "1970-01-01T00:00:00Z",  # sic: until the run ends
            "state": "PENDING",
            "state_history": [{"update_time": now, "state": "PENDING"}],
        } | {key: value for key, value in body.items() if value is not None}
        if run["experiment_id"] not in self.experiments:
            raise ApiError(404, f"Failed to create a new run: Experiment {run['experiment_id']} not found")
        if reference:
            run["pipeline_version_reference"] = reference
        self.runs[run["run_id"]] = run
        return run

    def create_recurring_run(self, body: Json) -> Json:
        """CreateRecurringRun: names need not be unique; a reference without version follows the newest."""
        package, _ = self._package(body, "Failed to create a new recurring run")
        cron = (body.get("trigger") or {}).get("cron_schedule", {}).get("cron", "")
        if cron and len(cron.split()) != 6:
            raise ApiError(400, f"Failed to create a recurring run: Schedule cron is not a supported format: {cron}")
        if not 1 <= int(body.get("max_concurrency") or 0) <= 10:
            raise ApiError(400, "Failed to create a recurring run: The max concurrency should be in the range [1, 10]")
        try:
            run_parameters(package, body.get("runtime_config", {}).get("parameters") or {})
        except InvalidInputError as error:
            raise ApiError(400, f"Failed to create a recurring run: InvalidInputError: {error}") from error
        recurring_run = {"recurring_run_id": str(uuid.uuid4()), "created_at": self.now()} | {
            key: value for key, value in body.items() if value is not None
        }
        recurring_run["max_concurrency"] = str(recurring_run["max_concurrency"])
        self.recurring_runs[recurring_run["recurring_run_id"]] = recurring_run
        return self.set_mode(recurring_run["recurring_run_id"], body.get("mode") == "ENABLE", recurring_run)

    def set_mode(self, key: str, enabled: bool, answer: Json) -> Json:
        """Enables or disables a recurring run."""
        mode, status = ("ENABLE", "ENABLED") if enabled else ("DISABLE", "DISABLED")
        get(self.recurring_runs, key, "RecurringRun").update(mode=mode, status=status, updated_at=self.now())
        return answer

    def package(self, body: Json) -> str:
        """The package of a run or recurring run, as YAML."""
        return yaml.safe_dump_all(self._source(body, "Failed to find the package")[0])

    def _package(self, body: Json, failure: str) -> tuple[Package, Json | None]:
        documents, reference = self._source(body, failure)
        try:
            return check_documents(documents), reference
        except InvalidInputError as error:
            raise ApiError(400, f"{failure}: {error}") from error

    def _source(self, body: Json, failure: str) -> tuple[list[Json], Json | None]:
        reference = body.get("pipeline_version_reference")
        if (spec := body.get("pipeline_spec")) is None:
            if reference is None:
                raise ApiError(400, f"{failure}: pipeline source is missing")
            if not (versions := self.versions_of(reference.get("pipeline_id", ""))):
                raise ApiError(404, f"{failure}: Pipeline {reference.get('pipeline_id')} not found")
            version = versions[-1]
            if version_id := reference.get("pipeline_version_id"):
                version = get(self.versions, version_id, "PipelineVersion")
            reference = {key: version[key] for key in ("pipeline_id", "pipeline_version_id")}
            spec = version["pipeline_spec"]
        documents = [spec["pipeline_spec"], spec["platform_spec"]] if "pipeline_spec" in spec else [spec]
        return documents, reference


def _accepted(text: str) -> Package:
    try:
        return parse_package(text)
    except InvalidInputError as error:
        raise UploadError(400, str(error)) from error


def _as_spec(text: str) -> Json:
    """YAMLStringToPipelineSpecStruct: both documents in one mapping, or the only document."""
    documents = list(yaml.load_all(text, yaml.CSafeLoader))
    platform = [document for document in documents if "platforms" in document]
    (spec,) = (document for document in documents if "platforms" not in document)
    return {"pipeline_spec": spec, "platform_spec": platform[0]} if platform else spec


def get(resources: dict[str, Json], key: str, kind: str) -> Json:
    """A resource by id."""
    if key not in resources:
        raise ApiError(404, f"Failed to get {kind}: ResourceNotFoundError: {kind} {key} not found.")
    return resources[key]


def page(resources: list[Json], query: dict[str, str]) -> tuple[list[Json], Json]:
    """One page of resources by filter, sort_by, page_size and page_token (server/list_request_util.go)."""
    for predicate in json.loads(query.get("filter") or "{}").get("predicates", []):
        resources = [resource for resource in resources if _matches(resource, predicate)]
    key, _, direction = (query.get("sort_by") or "created_at").partition(" ")
    if resources and key not in set().union(*resources):
        raise ApiError(400, f"Invalid sorting field: {key!r}")
    resources = sorted(resources, key=lambda resource: resource.get(key, ""), reverse=direction == "desc")
    start = int(base64.b64decode(query["page_token"])) if query.get("page_token") else 0
    end = start + (int(query.get("page_size") or 0) or 20)
    more = {"next_page_token": base64.b64encode(str(end).encode()).decode()} if end < len(resources) else {}
    return resources[start:end], {"total_size": len(resources)} | more


def _matches(resource: Json, predicate: Json) -> bool:
    operation = OPERATIONS.get(predicate["operation"], predicate["operation"])
    value = predicate.get("stringValue", predicate.get("string_value", predicate.get("timestampValue")))
    actual = resource.get(predicate["key"], "")
    match operation:
        case "EQUALS":
            return actual == value
        case "NOT_EQUALS":
            return actual != value
        case "GREATER_THAN":
            return actual > value
        case "GREATER_THAN_EQUALS":
            return actual >= value
        case "IS_SUBSTRING":
            return value.lower() in actual.lower()
        case "IN":
            values = predicate.get("stringValues", predicate.get("string_values"))
            return actual in values["values"]
    raise ApiError(400, f"Failed to parse filter: operation {operation} is not supported")


def require_namespace(path: str, given: Iterable[str]) -> None:
    """CanAccessNamespaceInResourceReferences and canAccessRun of backend/src/apiserver/server."""
    kind = path.rpartition("/")[2]
    shared = kind in ("pipelines", "experiments", "runs", "recurringruns")
    if shared and not {"experiment_id", "namespace"} & set(given):
        raise ApiError(400, f"Invalid input error: {kind} cannot have an empty namespace in multi-user mode")


def listed(name: str, resources: list[Json], query: dict[str, str]) -> Json:
    on_page, rest = page(resources, query)
    return ({name: on_page} if on_page else {}) | rest


def delete(resources: dict[str, Json], key: str) -> Json:
    get(resources, key, "resource")
    del resources[key]
    return {}
