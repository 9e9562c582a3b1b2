"""Every overlay renders to valid objects of Kubernetes with consistent references."""

import shutil
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from pipeline.cli import yt8m

K8S = Path(__file__).parents[2] / "k8s"
# Created by a person, by Kubeflow Pipelines or by the overlay artifacts, as comments in the manifests say.
EXTERNAL = {
    ("Secret", "yt8m-store"),
    ("Secret", "mlpipeline-minio-artifact"),
    ("PersistentVolumeClaim", "yt8m-artifacts"),
}


@pytest.mark.parametrize("version", ["1.30", kubernetes_validate.latest_version()])
def test_an_overlay_is_valid_for_kubernetes(rendered, version):
    assert rendered
    for item in rendered:
        kubernetes_validate.validate(item, version, strict=True)


def test_accounts_and_volumes_of_pods_exist(pods, with_base):
    existing = {(item["kind"], item["metadata"]["name"]) for item in with_base} | EXTERNAL
    for pod in pods.values():
        needed = {("ServiceAccount", pod["serviceAccountName"])} if "serviceAccountName" in pod else set()
        for volume in pod["volumes"]:
            match volume:
                case {"persistentVolumeClaim": {"claimName": name}}:
                    needed.add(("PersistentVolumeClaim", name))
                case {"configMap": {"name": name}}:
                    needed.add(("ConfigMap", name))
                case {"secret": {"secretName": name}}:
                    needed.add(("Secret", name))
        assert needed <= existing
        mounted = {mount["name"] for container in pod["containers"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}


@pytest.mark.parametrize("overlay", ["artifacts", "download", "schedule", "tuner-workers"], indirect=True)
def test_our_commands_accept_the_arguments_of_the_pods(pods):
    containers = [container for pod in pods.values() for container in pod["containers"]]
    ours = [container for container in containers if container["command"][0] == "yt8m"]
    assert ours
    for container in ours:
        [_, name] = container["command"]
        assert yt8m.commands[name].make_context(name, [*container["args"]])


def test_services_target_all_named_ports_of_their_pods(rendered):
    templates = [item["spec"]["template"] for item in rendered if "template" in item.get("spec", {})]
    for service in (item["spec"] for item in rendered if item["kind"] == "Service"):
        [pod] = [
            template["spec"]
            for template in templates
            if service["selector"].items() <= template["metadata"]["labels"].items()
        ]
        listed = [port for container in pod["containers"] for port in container.get("ports", ())]
        ports = {port["name"]: port["containerPort"] for port in listed}
        assert {port["targetPort"]: port["port"] for port in service["ports"]} == ports


@pytest.mark.parametrize("store", ["minio", "s3", "gcs"])
def test_the_launcher_may_read_the_credentials_of_its_store(render, store):
    items = {(item["kind"], item["metadata"]["name"]): item for item in render(K8S / "overlays" / store)}
    settings = items["ConfigMap", "kfp-launcher"]["data"]
    providers = yaml.safe_load(settings["providers"])
    assert [settings["defaultPipelineRoot"].partition("://")[0]] == list(providers)
    [provider] = providers.values()
    credentials = provider["default"]["credentials"]
    assert credentials["fromEnv"] is (store == "gcs")
    if not credentials["fromEnv"]:
        [rule] = [rule for rule in items["Role", "yt8m-pipeline"]["rules"] if rule["resources"] == ["secrets"]]
        assert credentials["secretRef"]["secretName"] in rule["resourceNames"]
        assert ("Secret", credentials["secretRef"]["secretName"]) in EXTERNAL


def test_all_objects_can_move_to_the_namespace_of_kubeflow_pipelines(render, overlay, tmp_path):
    copy = shutil.copytree(K8S, tmp_path / "k8s")
    site = copy / "site" / "namespace.yaml"
    site.write_text(site.read_text().replace("namespace: yt8m", "namespace: kubeflow"))
    base = copy / "base" / "kustomization.yaml"
    base.write_text(base.read_text().replace("  - ../namespace\n", ""))
    for item in render(copy / "overlays" / overlay):
        namespace = "kube-system" if item["metadata"]["name"] == "nvidia-device-plugin" else "kubeflow"
        assert item["metadata"]["namespace"] == namespace
        assert {subject["namespace"] for subject in item.get("subjects", ())} <= {namespace}


def test_every_manifest_is_used(overlay):
    folder = K8S / "overlays" / overlay
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    files = {path.name for path in folder.iterdir()} - {"kustomization.yaml"}
    named = set(kustomization["resources"]) | {patch["path"] for patch in kustomization.get("patches", ())}
    named |= {file for generator in kustomization.get("configMapGenerator", ()) for file in generator["files"]}
    assert named - {"../../base"} == files
