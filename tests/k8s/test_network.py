"""What NetworkPolicies let through, as Kubernetes reads them and as docs/kubeflow.md lists it."""

import ipaddress
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

ROOT = Path(__file__).parents[2]
K8S = ROOT / "k8s"
STORES = ["minio", "s3", "gcs"]
OTHERS = ["artifacts", "download", "schedule", "serving", "spark", "tensorboard", "tuner-workers"]
PRIVATE = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]


@dataclass(frozen=True)
class Pod:
    """A pod, here or elsewhere in the cluster."""

    labels: dict
    namespace: str = "yt8m"
    namespace_labels: dict = field(default_factory=dict)


def ours(name):
    return Pod({"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": "yt8m"})


# Labels of Argo's pods (workflow/controller/workflowpod.go), of KFP's (manifests/kustomize) and of our packages.
DRIVER = Pod({"workflows.argoproj.io/workflow": "yt8m-x7k2p"})
STEP = Pod({"workflows.argoproj.io/workflow": "yt8m-x7k2p", "app.kubernetes.io/part-of": "yt8m"})
API = Pod({"app": "ml-pipeline"}, "kubeflow")
METADATA = Pod({"component": "metadata-grpc-server"}, "kubeflow")
SEAWEEDFS, MINIO = Pod({"app": "seaweedfs"}, "kubeflow"), Pod({"app": "minio"}, "kubeflow")
DNS = Pod({"k8s-app": "kube-dns"}, "kube-system")
CLIENT = Pod({"app": "web"}, "web", {"yt8m-serving-client": "true"})
STRANGER = Pod({"app": "web"}, "web")
NOT_OURS = Pod({"app": "other"})
INTERNET, KUBERNETES = "142.250.1.1", "10.96.0.1"


def matches(selector, labels):
    """A label selector of Kubernetes."""
    operators = {"Exists": lambda key, _: key in labels, "In": lambda key, values: labels.get(key) in values}
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        operators[rule["operator"]](rule["key"], rule.get("values")) for rule in selector.get("matchExpressions", ())
    )


def is_peer(peer, other, own_namespace):
    """Whether a peer of a rule is the other pod or address."""
    block = peer.get("ipBlock")
    if isinstance(other, str) and block:
        address = ipaddress.ip_address(other)
        within, *excepted = [
            address in ipaddress.ip_network(cidr) for cidr in (block["cidr"], *block.get("except", ()))
        ]
        return within and not any(excepted)
    if isinstance(other, str) or block:
        return False
    labels = {"kubernetes.io/metadata.name": other.namespace, **other.namespace_labels}
    selector = peer.get("namespaceSelector", {"matchLabels": {"kubernetes.io/metadata.name": own_namespace}})
    return matches(selector, labels) and matches(peer.get("podSelector", {}), other.labels)


def passes(policies, pod, other, port, direction):
    """Whether the policies of a pod's namespace let a connection through; a pod that none selects is open."""
    selecting = [
        policy["spec"]
        for policy in policies
        if policy["metadata"]["namespace"] == pod.namespace
        and direction in policy["spec"]["policyTypes"]
        and matches(policy["spec"]["podSelector"], pod.labels)
    ]
    side = {"Ingress": "from", "Egress": "to"}[direction]
    rules = [rule for spec in selecting for rule in spec.get(direction.lower(), ())]
    rules = [rule for rule in rules if port in [entry["port"] for entry in rule["ports"]]]
    return not selecting or any(is_peer(peer, other, pod.namespace) for rule in rules for peer in rule[side])


def connects(policies, source, target, port):
    """Whether a connection passes both ends; the port is the one that the policies give, by number or name."""
    out = passes(policies, source, target, port, "Egress")
    return out and (isinstance(target, str) or passes(policies, target, source, port, "Ingress"))


def all_policies(render, root=K8S, store="minio"):
    items = [item for name in (store, *OTHERS) for item in render(root / "overlays" / name)]
    return [item for item in items if item["kind"] == "NetworkPolicy"]


@pytest.fixture(params=STORES)
def policies(render, request):
    return all_policies(render, store=request.param)


@pytest.fixture
def in_kubeflow(render, tmp_path):
    """The policies where pipelines run in the namespace of Kubeflow Pipelines, as site/kustomization.yaml describes."""
    copy = shutil.copytree(K8S, tmp_path / "k8s")
    for path, old, new in [
        ("site/namespace.yaml", "namespace: yt8m", "namespace: kubeflow"),
        ("base/kustomization.yaml", "  - ../namespace\n", ""),
    ]:
        (copy / path).write_text((copy / path).read_text().replace(old, new))
    return all_policies(render, copy)


RETRAIN, GC = ours("yt8m-retrain"), ours("yt8m-gc")
WORKER, CHIEF = ours("yt8m-tuner-worker"), ours("yt8m-tuner-chief")
SERVING, TENSORBOARD, DOWNLOAD = ours("yt8m-serving"), ours("yt8m-tensorboard"), ours("yt8m-download")
MASTER, EXECUTOR, JOBS = ours("yt8m-spark-master"), ours("yt8m-spark-worker"), ours("yt8m-beam-job-service")
ALLOWED = [
    *((pod, target, port) for pod in (STEP, DRIVER) for target, port in [
        (DNS, 53), (API, 8887), (API, 8888), (METADATA, 8080), (MINIO, 9000), (SEAWEEDFS, 8333), (KUBERNETES, 443),
    ]),
    (RETRAIN, DNS, 53), (RETRAIN, API, 8888), (GC, DNS, 53), (GC, API, 8888),
    (DOWNLOAD, DNS, 53), (DOWNLOAD, "169.254.20.10", 53), (DOWNLOAD, INTERNET, 80), (DOWNLOAD, INTERNET, 443),
    (WORKER, DNS, 53), (WORKER, CHIEF, "oracle"),
    (CLIENT, SERVING, "grpc"), (CLIENT, SERVING, "http"),
    (STEP, JOBS, "jobs"), (STEP, JOBS, "artifacts"), (JOBS, MASTER, "spark"), (EXECUTOR, MASTER, "spark"),
    (MASTER, EXECUTOR, "worker"), (MASTER, JOBS, "driver"), (EXECUTOR, JOBS, "driver"), (EXECUTOR, JOBS, "blocks"),
    (JOBS, EXECUTOR, "blocks"), (EXECUTOR, EXECUTOR, "blocks"),
]  # fmt: skip
DENIED = [
    *((STRANGER, pod, "http") for pod in (SERVING, TENSORBOARD)),
    (STRANGER, CHIEF, "oracle"), (CLIENT, TENSORBOARD, "http"), (STEP, TENSORBOARD, "http"), (STEP, CHIEF, "oracle"),
    (STEP, SERVING, "grpc"), (WORKER, SERVING, "grpc"), (WORKER, INTERNET, 443), (SERVING, INTERNET, 443),
    (RETRAIN, INTERNET, 443), (RETRAIN, KUBERNETES, 443), (DOWNLOAD, KUBERNETES, 443), (DOWNLOAD, API, 8888),
    (DOWNLOAD, "169.254.169.254", 80), (ours("yt8m-volumes"), MINIO, 9000), (NOT_OURS, INTERNET, 443),
    (STEP, INTERNET, 80), (STEP, "10.0.0.9", 22), (GC, INTERNET, 443), (GC, KUBERNETES, 443),
    (STRANGER, JOBS, "jobs"), (NOT_OURS, JOBS, "jobs"),
    (SERVING, JOBS, "jobs"), (STEP, MASTER, "spark"), (STEP, EXECUTOR, "worker"), (STRANGER, MASTER, "spark"),
    (EXECUTOR, INTERNET, 443), (EXECUTOR, JOBS, "jobs"),
]  # fmt: skip


def test_pods_reach_what_they_need(policies):
    assert [case for case in ALLOWED if not connects(policies, *case)] == []


def test_nothing_else_passes(policies):
    assert [case for case in DENIED if connects(policies, *case)] == []


@pytest.mark.parametrize("store", STORES)
def test_steps_reach_the_store_of_the_overlay_only(render, store):
    policies = all_policies(render, store=store)
    assert connects(policies, STEP, INTERNET, 443) is (store != "minio")
    assert connects(policies, DRIVER, "169.254.169.252", 988) is connects(policies, STEP, "169.254.169.254", 80)
    assert connects(policies, STEP, "169.254.169.254", 80) is (store == "gcs")


def test_in_the_namespace_of_kubeflow_pipelines_its_own_pods_are_not_affected(in_kubeflow):
    others = Pod({"workflows.argoproj.io/workflow": "theirs"}, "kubeflow")
    for pod in (API, METADATA, SEAWEEDFS, MINIO, others, Pod({"app": "ml-pipeline-ui"}, "kubeflow")):
        assert connects(in_kubeflow, pod, INTERNET, 443) and connects(in_kubeflow, STRANGER, pod, 8080)


def test_in_the_namespace_of_kubeflow_pipelines_ours_are_isolated_as_in_their_own(in_kubeflow):
    def moved(pod):
        return Pod(pod.labels, "kubeflow") if isinstance(pod, Pod) and pod.namespace == "yt8m" else pod

    allowed = [case for case in ALLOWED if case[0] != DRIVER]
    denied = [case for case in DENIED if case[0] != NOT_OURS]
    for source, target, port in allowed + denied:
        assert connects(in_kubeflow, moved(source), moved(target), port) is ((source, target, port) in allowed)


def test_every_pod_of_ours_has_the_label_that_isolates_it(render):
    for name in (*STORES, *OTHERS):
        for item in render(K8S / "overlays" / name):
            spec = item.get("spec", {})
            if template := spec.get("jobTemplate", {}).get("spec", spec).get("template"):
                assert template["metadata"]["labels"]["app.kubernetes.io/part-of"] == "yt8m"


def test_policies_select_pods_and_ports_that_exist(render):
    items = [item for name in ("minio", *OTHERS) for item in render(K8S / "overlays" / name)]
    templates = [
        item["spec"].get("jobTemplate", item)["spec"]["template"]
        for item in items
        if item["kind"] in ("Job", "CronJob", "Deployment", "StatefulSet")
    ]
    for spec in (item["spec"] for item in items if item["kind"] == "NetworkPolicy"):
        name = spec["podSelector"].get("matchLabels", {}).get("app.kubernetes.io/name")
        pods = [t for t in templates if t["metadata"]["labels"]["app.kubernetes.io/name"] == name]
        assert len(pods) == (name is not None)
        ports = {port["name"] for pod in pods for c in pod["spec"]["containers"] for port in c.get("ports", ())}
        assert {port["port"] for rule in spec.get("ingress", ()) for port in rule["ports"]} == ports


def describe_peer(peer):
    """A peer in the words of the table; empty for the second and third private range."""
    if block := peer.get("ipBlock"):
        words = {"0.0.0.0/0": "the internet", PRIVATE[0]: "private addresses", PRIVATE[1]: "", PRIVATE[2]: ""}
        assert set(block.get("except", ())) <= {*PRIVATE, "169.254.0.0/16"}
        return words.get(block["cidr"], block["cidr"].removesuffix("/32"))
    text = ""
    if (selector := peer.get("podSelector")) and "workflows.argoproj.io/workflow" in str(selector):
        return "steps of runs"
    if selector:
        values = [*selector.get("matchLabels", {}).values()]
        values += [value for rule in selector.get("matchExpressions", ()) for value in rule["values"]]
        text = " or ".join(f"`{value}`" for value in values) + " in "
    [(key, value)] = peer.get("namespaceSelector", {"matchLabels": {"": ""}})["matchLabels"].items()
    if key == "yt8m-serving-client":
        return f"namespaces with the label `{key}={value}`"
    return (text + f"`{value}`") if value else text.removesuffix(" in ")


def describe(rules, side):
    parts = []
    for rule in rules:
        peers = ", ".join(filter(None, map(describe_peer, rule[side])))
        ports = dict.fromkeys(str(port["port"]) for port in rule["ports"])
        parts.append(f"{peers}: {', '.join(ports)}")
    return "; ".join(parts) or "-"


def test_the_documentation_lists_what_every_policy_lets_through(render):
    expected = {}
    for name in (*STORES, *OTHERS):
        for policy in (item for item in render(K8S / "overlays" / name) if item["kind"] == "NetworkPolicy"):
            spec = policy["spec"]
            sides = [describe(spec.get("ingress", ()), "from"), describe(spec.get("egress", ()), "to")]
            row = expected.setdefault(policy["metadata"]["name"], sides)
            if row != sides:
                assert sides[1].startswith(row[1])
                expected[f"{policy['metadata']['name']}`, overlay `{name}"] = [sides[0], sides[1][len(row[1]) + 2 :]]
    text = (ROOT / "docs" / "kubeflow.md").read_text()
    rows = re.findall(r"^\| `(yt8m-[^|]+)` \| [^|]+ \| ([^|]+) \| ([^|]+) \|$", text, re.MULTILINE)
    assert {name: list(sides) for name, *sides in rows} == expected


def test_the_addresses_in_manifests_pass(render, policies):
    [job] = [item for item in render(K8S / "overlays" / "schedule") if item["kind"] == "CronJob"]
    [container] = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    [endpoint] = [entry["value"] for entry in container["env"] if entry["name"] == "KF_PIPELINES_ENDPOINT"]
    assert connects(policies, RETRAIN, API, urlsplit(endpoint).port)
    [launcher] = [item for item in render(K8S / "overlays" / "minio") if item["metadata"]["name"] == "kfp-launcher"]
    provider = yaml.safe_load(launcher["data"]["providers"])["minio"]["default"]
    assert connects(policies, STEP, MINIO, urlsplit(f"//{provider['endpoint']}").port)
