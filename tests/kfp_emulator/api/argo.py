"""Argo workflows as the API server returns them (`pipeline_runtime.workflow_manifest`); recorded/ has real ones."""

import base64
import gzip
import json
import uuid
from collections.abc import Iterable
from typing import Any

Json = dict[str, Any]

# Argo's phases, and toModelRuntimeState of server/api_converter.go: an omitted node has no state.
PHASES = {
    "SUCCEEDED": "Succeeded",
    "FAILED": "Failed",
    "RUNNING": "Running",
    "PENDING": "Pending",
    "SKIPPED": "Skipped",
}
STATES = {phase: state for state, phase in PHASES.items()} | {"Error": "FAILED"}

# The end of a node that has not ended, in task details.
NO_TIME = "0001-01-01T00:00:00Z"

EXECUTOR, DRIVER = "system-container-executor", "system-container-driver"
RETRIED = "metadata-0-2-retry-system-container-impl"


def workflow(name: str, namespace: str, run_id: str, root: str) -> Json:
    """A workflow before its first step.

    Args:
        name: Its name.
        namespace: Its namespace.
        run_id: The run it belongs to.
        root: The pipeline root, for the uris of artifacts.
    """
    metadata = {
        "name": name,
        "namespace": namespace,
        "labels": {"pipeline/runid": run_id},
        "annotations": {"workflows.argoproj.io/pod-name-format": "v2"},
    }
    return {"metadata": metadata, "status": {"phase": "Running", "nodes": {}}, "_root": f"{root}/yt8m/{run_id}"}


def pod(node: Json) -> str:
    """Name of a node's pod: GeneratePodName of Argo's workflow/util/pod_name.go, with the hash of the node's id."""
    name, _, number = node["id"].rpartition("-")
    return f"{name}-{node['templateName']}-{number}"


def set_step(
    workflow: Json,
    name: str,
    state: str,
    now: str,
    *,
    retries: int = 0,
    cached: bool = False,
    outputs: Iterable[str] = (),
    message: str = "",
    executor_input: Json | None = None,
) -> list[Json]:
    """Sets the nodes of a step, and returns those of its pods, the driver's first.

    Args:
        workflow: The workflow.
        name: Name of the step.
        state: Its state, in the words of the v2beta1 API; OMITTED for one whose inputs failed.
        now: The time.
        retries: Number of failed pods before the one in that state.
        cached: Whether its driver found it in the cache.
        outputs: Names of its artifacts.
        message: Argo's message of the pod in that state; by default that of a failed container.
        executor_input: What its driver told the launcher; by default the uris of `outputs`.
    """
    nodes = workflow["status"]["nodes"]
    root = _node(workflow, "root", "DAG", "root", "Running", now, boundary=workflow["metadata"]["name"])
    nodes.setdefault(root["id"], root)
    for key in [key for key, node in nodes.items() if f"{node['name']}.".startswith(f"{root['name']}.{name}.")]:
        del nodes[key]
    phase = PHASES.get(state, "Omitted")
    if phase == "Omitted":
        for display, template in ((f"{name}-driver", DRIVER), (name, EXECUTOR)):
            node = _node(workflow, f"root.{display}", "Skipped", template, phase, now, boundary=root["id"])
            nodes[node["id"]] = node | {"message": "omitted: depends condition not met"}
        return []
    driver = _node(workflow, f"root.{name}-driver", "Pod", DRIVER, "Succeeded", now, boundary=root["id"])
    step = _node(workflow, f"root.{name}", "DAG", f"metadata-0-2-retry-{EXECUTOR}", phase, now, boundary=root["id"])
    decided = {
        "pod-spec-patch": "" if cached else _pod_spec(workflow, name, outputs, executor_input),
        "condition": "nil",
    }
    decided["cached-decision"] = str(cached).lower()
    driver["outputs"] = {"parameters": [{"name": key, "value": value} for key, value in decided.items()]}
    all_pods = f"root.{name}.executor"
    if cached:
        executors = [_node(workflow, all_pods, "Skipped", RETRIED, "Skipped", now, boundary=step["id"])]
    else:
        executors = [_node(workflow, all_pods, "Retry", RETRIED, phase, now, boundary=step["id"])]
        if retries and phase == "Failed":
            executors[0]["message"] = "No more retries left"
    driver["children"], step["children"] = [step["id"]], [executors[0]["id"]]
    pods = [driver]
    for attempt in range(0 if cached else retries + 1):
        attempted = phase if attempt == retries else "Failed"
        node = _node(workflow, f"{all_pods}({attempt})", "Pod", RETRIED, attempted, now, boundary=step["id"])
        if attempted == "Failed":
            node["message"] = message if message and attempt == retries else "main: Error (exit code 1)"
        pods.append(node)
    executors[0]["children"] = [node["id"] for node in pods[1:]]
    for node in (step, *executors, *pods):
        nodes[node["id"]] = node
    return pods


def nodes(workflow: Json) -> list[Json]:
    """The nodes, to read or change."""
    return list(workflow["status"]["nodes"].values())


def compress(workflow: Json) -> None:
    """Writes the nodes as for a workflow above 1 MiB: compressWorkflow of Argo 4.0.7's workflow/packer/packer.go."""
    nodes = json.dumps(workflow["status"].pop("nodes")).encode()
    workflow["status"]["compressedNodes"] = base64.b64encode(gzip.compress(nodes)).decode()


def offload(workflow: Json) -> None:
    """Removes the nodes as nodeStatusOffLoad does: Dehydrate of Argo 4.0.7's workflow/hydrator/hydrator.go."""
    del workflow["status"]["nodes"]
    workflow["status"]["offloadNodeStatusVersion"] = "fnv:1234567890"


def task_details(workflow: Json, run_id: str) -> list[Json]:
    """The nodes as `run_details.task_details` of the v2beta1 API: no pods, and Argo's ids as children."""
    details = []
    for node in workflow["status"]["nodes"].values():
        detail = {"run_id": run_id, "task_id": str(uuid.uuid5(uuid.NAMESPACE_OID, node["id"]))}
        detail |= {"display_name": node["displayName"], "create_time": node["startedAt"]}
        detail |= {"start_time": node["startedAt"], "end_time": node["finishedAt"] or NO_TIME}
        if state := STATES.get(node["phase"]):
            detail["state"] = state
        if children := node.get("children"):
            detail["child_tasks"] = [{"pod_name": child} for child in children]
        details.append(detail)
    return details


def node_id(workflow: str, name: str) -> str:
    """NodeID of Argo's pkg/apis/workflow/v1alpha1/workflow_types.go: the hash is FNV-1a, of 32 bits."""
    value = 0x811C9DC5
    for byte in name.encode():
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return f"{workflow}-{value}"


def artifact_uri(workflow: Json, step: str, artifact: str) -> str:
    """URI of a step's artifact; its folder is the same for all attempts."""
    folder = uuid.uuid5(uuid.NAMESPACE_OID, f"{workflow['metadata']['name']}.{step}")
    return f"{workflow['_root']}/{step}/{folder}/{artifact}"


def _node(workflow: Json, path: str, kind: str, template: str, phase: str, now: str, boundary: str) -> Json:
    prefix = workflow["metadata"]["name"]
    name = f"{prefix}.{path}"
    return {
        "id": node_id(prefix, name),
        "name": name,
        "displayName": path.rpartition(".")[2],
        "type": kind,
        "templateName": template,
        "phase": phase,
        "boundaryID": boundary,
        "startedAt": now,
        "finishedAt": None if phase in ("Running", "Pending") else now,
    }


def _pod_spec(workflow: Json, step: str, outputs: Iterable[str], executor_input: Json | None) -> str:
    uris = {key: artifact_uri(workflow, step, key) for key in ("executor-logs", *outputs)}
    artifacts = {key: {"artifacts": [{"name": key, "uri": uri}]} for key, uri in uris.items()}
    passed = json.dumps(executor_input or {"inputs": {}, "outputs": {"artifacts": artifacts}})
    command = ["/kfp-launcher/launch", "--executor_type", "container", "--executor_input", passed]
    return json.dumps({"containers": [{"name": "main", "command": command}]})
