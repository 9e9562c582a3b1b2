"""Pods keep to Kubernetes' "restricted" standard, and accounts may do no more than they must."""

from pathlib import Path

import pytest

K8S = Path(__file__).parents[2] / "k8s"
# What the comment at the top of the manifest gives the reason for.
EXCEPTIONS = {"nvidia-device-plugin": {"a volume of type hostPath", "not runAsNonRoot"}}
VOLUMES = {"configMap", "emptyDir", "persistentVolumeClaim", "projected", "secret", "downwardAPI", "ephemeral", "csi"}


def violations(pod):
    """What of a pod is not "restricted", or writes to more than volumes."""
    context = pod.get("securityContext", {})
    found = {key for key in ("hostNetwork", "hostPID", "hostIPC") if pod.get(key)}
    found |= {f"a volume of type {kind}" for volume in pod["volumes"] for kind in set(volume) - {"name"} - VOLUMES}
    for container in (*pod["containers"], *pod.get("initContainers", ())):
        own = container.get("securityContext", {})
        either = {**context, **own}
        if either.get("runAsNonRoot") is not True or either.get("runAsUser") == 0:
            found.add("not runAsNonRoot")
        if either.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
            found.add("no seccompProfile")
        if own.get("allowPrivilegeEscalation") is not False or own.get("privileged"):
            found.add("allowPrivilegeEscalation")
        if own.get("capabilities", {}).get("drop") != ["ALL"] or "add" in own.get("capabilities", {}):
            found.add("capabilities")
        if own.get("readOnlyRootFilesystem") is not True:
            found.add("a root file system that it can write to")
        if any("hostPort" in port for port in container.get("ports", ())):
            found.add("hostPort")
    return found


def test_pods_are_restricted(pods):
    for (_, name), pod in pods.items():
        assert violations(pod) == EXCEPTIONS.get(name, set())


def test_a_manifest_that_is_not_restricted_says_why():
    assert 'Not "restricted": ' in (K8S / "overlays" / "gpu" / "device-plugin.yaml").read_text()


def test_pods_of_ours_know_no_token_of_kubernetes(pods):
    assert all(pod["automountServiceAccountToken"] is False for pod in pods.values())


def test_pods_ask_for_what_they_need_and_are_bounded(pods):
    for pod in pods.values():
        for container in pod["containers"]:
            assert set(container["resources"]["requests"]) >= {"cpu", "memory"}
            assert "memory" in container["resources"]["limits"]


def test_images_have_a_tag_that_stays(pods):
    for pod in pods.values():
        for container in pod["containers"]:
            name, _, tag = container["image"].rpartition(":")
            assert name and "/" not in tag and tag != "latest"


def test_roles_name_what_they_allow(rendered):
    for role in (item for item in rendered if item["kind"] in ("Role", "ClusterRole")):
        for rule in role["rules"]:
            assert "*" not in {*rule["verbs"], *rule["resources"], *rule["apiGroups"]}
            if {"secrets", "configmaps"} & set(rule["resources"]):
                assert rule["resourceNames"]


def test_every_account_is_bound_to_its_own_role(rendered):
    names = {
        kind: {i["metadata"]["name"] for i in rendered if i["kind"] == kind} for kind in ("ServiceAccount", "Role")
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
def test_the_rules_find_a_pod_that_breaks_them(render, change, violation):
    [pod] = [i["spec"]["template"]["spec"] for i in render(K8S / "base") if i["kind"] == "Job"]
    assert violations(pod) == set() and violations({**pod, **change}) == {violation}
