"""Argo workflows in forms that the recorded ones don't have; the rules are Argo's and the launcher's."""

import pytest

from pipeline.kubeflow.api.workflow import parse_workflow

ROOT = {"id": "w-1", "displayName": "root", "type": "DAG", "boundaryID": "w", "phase": "Running"}


def workflow(*nodes, annotations=None):
    times = {"templateName": "t", "startedAt": "2026-11-29T23:22:38Z", "finishedAt": None}
    metadata = {"name": "w", "namespace": "mine", "annotations": annotations or {}}
    listed = {node["id"]: times | node for node in (ROOT, *nodes)}
    return parse_workflow("run", {"metadata": metadata, "status": {"nodes": listed}})


def test_a_run_before_its_first_step_has_no_steps():
    assert parse_workflow("run", {}).steps == parse_workflow("run", {"status": {"nodes": None}}).steps == ()


def test_an_importer_is_a_pod_itself():
    # system-importer of KFP's argocompiler/importer.go: no driver, no DAG
    node = {"id": "w-7", "displayName": "ImportHyperparameters", "type": "Pod", "boundaryID": "w-1", "phase": "Failed"}
    step = workflow(node | {"templateName": "system-importer", "message": "Error (exit code 1)"}).step(
        "ImportHyperparameters"
    )
    assert (step.state, step.message, step.last_pod.name) == ("FAILED", "Error (exit code 1)", "w-system-importer-7")


@pytest.mark.parametrize(
    ("template", "annotations", "pod"),
    [
        ("t", {}, "w-t-9"),
        ("t", {"workflows.argoproj.io/pod-name-format": "v1"}, "w-9"),
        ("t" * 300, {}, f"w-{'t' * 240}-9"),  # 242 characters before the hash
    ],
)
def test_names_of_pods(template, annotations, pod):
    step = {"id": "w-8", "displayName": "Trainer", "type": "DAG", "boundaryID": "w-1", "phase": "Running"}
    attempt = {"id": "w-9", "displayName": "executor(0)", "type": "Pod", "boundaryID": "w-8", "phase": "Running"}
    [trainer] = workflow(step, attempt | {"templateName": template}, annotations=annotations).steps
    assert trainer.last_pod.name == pod and trainer.last_pod.running


def test_the_tenth_attempt_comes_after_the_second():
    step = {"id": "w-8", "displayName": "Trainer", "type": "DAG", "boundaryID": "w-1", "phase": "Failed"}
    attempts = [
        {
            "id": f"w-{number}",
            "displayName": f"executor({number})",
            "type": "Pod",
            "boundaryID": "w-8",
            "phase": "Error",
        }
        for number in (10, 2, 0)
    ]
    [trainer] = workflow(step, *attempts).steps
    assert [pod.attempt for pod in trainer.pods] == [0, 2, 10]


def test_a_step_whose_driver_is_running_is_pending():
    driver = {"id": "w-3", "displayName": "Trainer-driver", "type": "Pod", "boundaryID": "w-1", "phase": "Running"}
    [trainer] = workflow(driver | {"templateName": "system-container-driver"}).steps
    assert (trainer.state, trainer.started, trainer.last_pod) == ("PENDING", None, None)


def test_a_run_whose_first_driver_failed_has_its_message():
    # system-dag-driver of KFP's argocompiler/dag.go; its log has more, such as an ML Metadata that cannot be reached
    driver = {"id": "w-2", "displayName": "root-driver", "type": "Pod", "phase": "Failed", "boundaryID": "w"}
    driver |= {"templateName": "system-dag-driver", "message": "main: Error (exit code 1)"}
    nodes = {"w": {"id": "w", "displayName": "w", "type": "DAG", "phase": "Failed"}, "w-2": driver}
    read = parse_workflow("run", {"status": {"message": "child 'w-2' failed", "nodes": nodes}})
    assert (read.steps, read.message) == ((), "child 'w-2' failed; root-driver: main: Error (exit code 1)")
