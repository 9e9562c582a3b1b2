"""Pods meet Kubernetes' "restricted" standard, and accounts have only the permissions that they need."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from kubernetes.utils.quantity import parse_quantity

ROOT = Path(__file__).parents[2]
K8S = ROOT / "k8s"
# The comment at the top of the manifest gives the reason.
EXCEPTIONS = {"nvidia-device-plugin": {"a volume of type hostPath", "not runAsNonRoot"}}
VOLUMES = {"configMap", "emptyDir", "persistentVolumeClaim", "projected", "secret", "downwardAPI", "ephemeral", "csi"}


def violations(pod):
    """What a pod breaks of the "restricted" standard, and whether it may write outside volumes."""
    context = pod.get("securityContext", {})
    broken = {key for key in ("hostNetwork", "hostPID", "hostIPC") if pod.get(key)}
    broken |= {f"a volume of type {kind}" for volume in pod["volumes"] for kind in set(volume) - {"name"} - VOLUMES}
    for container in (*pod["containers"], *pod.get("initContainers", ())):
        own = container.get("securityContext", {})
        effective = {**context, **own}
        if effective.get("runAsNonRoot") is not True or effective.get("runAsUser") == 0:
            broken.add("not runAsNonRoot")
        if effective.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
            broken.add("no seccompProfile")
        if own.get("allowPrivilegeEscalation") is not False or own.get("privileged"):
            broken.add("allowPrivilegeEscalation")
        if own.get("capabilities", {}).get("drop") != ["ALL"] or "add" in own.get("capabilities", {}):
            broken.add("capabilities")
        if own.get("readOnlyRootFilesystem") is not True:
            broken.add("a writable root file system")
        if any("hostPort" in port for port in container.get("ports", ())):
            broken.add("hostPort")
    return broken


def test_pods_are_restricted(pods):
    for (_, name), pod in pods.items():
        assert violations(pod) == EXCEPTIONS.get(name, set())


def test_a_manifest_that_is_not_restricted_gives_the_reason():
    assert 'Not "restricted": ' in (K8S / "overlays" / "gpu" / "device-plugin.yaml").read_text()


def test_the_containers_of_steps_are_restricted():
    """KFP 2.17's template of a step, as recorded; its driver adds the user of a package (v2/driver/k8s.go)."""
    template = json.loads((ROOT / "tests" / "kfp_emulator" / "api" / "recorded" / "step_template.json").read_text())
    container = template["container"]
    pod = {**template, "containers": [container]}
    assert "not runAsNonRoot" in violations(pod)
    _, platform = yaml.safe_load_all((ROOT / "tests" / "pipeline" / "kubeflow" / "netvlad-8.yaml").read_text())
    for config in platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values():
        secure = {**container["securityContext"], **config["securityContext"]}
        assert violations({**pod, "containers": [{"securityContext": secure}]}) == {"a writable root file system"}


def test_pods_have_no_token_of_kubernetes(pods):
    assert all(pod["automountServiceAccountToken"] is False for pod in pods.values())


def test_only_the_account_of_steps_has_a_token_of_kubernetes(rendered):
    for account in (item for item in rendered if item["kind"] == "ServiceAccount"):
        assert account["automountServiceAccountToken"] is (account["metadata"]["name"] == "yt8m-pipeline")


def test_containers_have_requests_and_limits(pods):
    for pod in pods.values():
        for container in pod["containers"]:
            for values in (container["resources"]["requests"], container["resources"]["limits"]):
                assert values.keys() >= {"cpu", "memory", "ephemeral-storage"}


def test_the_limits_of_a_pod_hold_its_folders(pods):
    for pod in pods.values():
        folders = {volume["name"]: volume["emptyDir"] for volume in pod["volumes"] if "emptyDir" in volume}
        for container in pod["containers"]:
            mounted = [folders[m["name"]] for m in container["volumeMounts"] if m["name"] in folders]
            for medium, limit in (("Memory", "memory"), ("", "ephemeral-storage")):
                sizes = [parse_quantity(f["sizeLimit"]) for f in mounted if f.get("medium", "") == medium]
                assert sum(sizes) < parse_quantity(container["resources"]["limits"][limit])


def test_the_namespace_enforces_a_standard_of_a_fixed_version(render):
    [namespace] = [item for item in render(K8S / "base") if item["kind"] == "Namespace"]
    prefix = "pod-security.kubernetes.io/"
    labels = {k.removeprefix(prefix): v for k, v in namespace["metadata"]["labels"].items() if k.startswith(prefix)}
    levels = {"enforce": "baseline", "audit": "restricted", "warn": "restricted"}
    assert labels == levels | {f"{mode}-version": "v1.30" for mode in levels}


def test_replicas_of_serving_are_spread_and_one_always_serves(render):
    items = {item["kind"]: item for item in render(K8S / "overlays" / "serving")}
    deployment, budget = items["Deployment"]["spec"], items["PodDisruptionBudget"]["spec"]
    assert 1 <= budget["minAvailable"] < deployment["replicas"]
    assert budget["selector"] == deployment["selector"]
    constraints = deployment["template"]["spec"]["topologySpreadConstraints"]
    assert [c["topologyKey"] for c in constraints] == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
    assert all(c["labelSelector"] == deployment["selector"] for c in constraints)


def test_a_digest_in_site_replaces_the_tag_of_an_image_of_others(render, tmp_path):
    copy = shutil.copytree(K8S, tmp_path / "k8s")
    digest = f"sha256:{'0' * 64}"
    with (copy / "site" / "kustomization.yaml").open("a") as site:
        site.write(f"  - name: tensorflow/serving\n    digest: {digest}\n")
    [deployment] = [item for item in render(copy / "overlays" / "serving") if item["kind"] == "Deployment"]
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"tensorflow/serving@{digest}"


def test_images_are_pinned(pods):
    for pod in pods.values():
        for container in pod["containers"]:
            name, _, tag = container["image"].rpartition(":")
            assert name and "/" not in tag and tag != "latest"


def test_roles_have_no_wildcards(rendered):
    for role in (item for item in rendered if item["kind"] in ("Role", "ClusterRole")):
        for rule in role["rules"]:
            assert "*" not in {*rule["verbs"], *rule["resources"], *rule["apiGroups"]}
            if {"secrets", "configmaps"} & set(rule["resources"]):
                assert rule["resourceNames"]


def test_every_account_is_bound_to_its_own_role(rendered):
    names = {
        kind: {item["metadata"]["name"] for item in rendered if item["kind"] == kind}
        for kind in ("ServiceAccount", "Role")
    }
    bindings = [item for item in rendered if item["kind"].endswith("RoleBinding")]
    assert names["ServiceAccount"] == names["Role"] == {item["roleRef"]["name"] for item in bindings}
    for binding in bindings:
        assert [subject["name"] for subject in binding["subjects"]] == [binding["roleRef"]["name"]]


@pytest.mark.parametrize(
    ("change", "violation"),
    [
        ({"hostNetwork": True}, "hostNetwork"),
        ({"securityContext": {"runAsNonRoot": True}}, "no seccompProfile"),
        ({"volumes": [{"name": "node", "hostPath": {"path": "/"}}]}, "a volume of type hostPath"),
    ],
)
def test_violations_are_found(render, change, violation):
    [pod] = [item["spec"]["template"]["spec"] for item in render(K8S / "base") if item["kind"] == "Job"]
    assert violations(pod) == set() and violations({**pod, **change}) == {violation}
