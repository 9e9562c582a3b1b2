"""What Kubernetes refuses: values from its own tests (apimachinery, pkg/util/validation/validation_test.go)."""

import pytest

from kfp_emulator.kubernetes_rules import refusals


def container(**resources: object) -> dict:
    return {"resources": resources}


def mount(path: str = "/data", **fields: str) -> dict:
    return {"pvcMount": [{"constant": "videos", "mountPath": path, **fields}]}


@pytest.mark.parametrize(
    ("config", "step"),
    [
        (mount("/a:b"), {}),
        (mount(subPath="../a"), {}),
        (mount(subPath="/a"), {}),
        ({"pvcMount": 2 * mount()["pvcMount"]}, {}),
        ({}, container(resourceCpuLimit="4 cores")),
        ({}, container(resourceMemoryLimit="8gb")),
        ({}, container(resourceMemoryLimit="-1Gi")),
        ({}, container(accelerator={"resourceType": "gpu", "resourceCount": "1"})),
        ({}, {"env": [{"name": "A B"}]}),
        ({}, {"image": "registry.example/Team/yt8m:1"}),
        ({}, {"image": "registry.example//yt8m:1"}),
        ({}, {"image": "-a/yt8m:1"}),
        ({"secretAsEnv": [{"secretName": "My_Secret"}]}, {}),
        ({"secretAsEnv": [{"secretName": "s", "keyToEnv": [{"envVar": "A", "secretKey": "a b"}]}]}, {}),
        ({"imagePullSecret": [{"secretName": "a..b"}]}, {}),
        ({"podMetadata": {"labels": {"a..b/c": "x"}}}, {}),
        ({"podMetadata": {"labels": {"team": "a b"}}}, {}),
        ({"nodeSelector": {"labels": {"pool": "x" * 64}}}, {}),
        ({"tolerations": [{"key": "gpu", "operator": "Exists", "value": "yes"}]}, {}),
        ({"tolerations": [{"operator": "Equal", "value": "yes"}]}, {}),
        ({"tolerations": [{"key": "gpu", "operator": "Equal", "value": "a b"}]}, {}),
    ],
)
def test_an_invalid_pod_is_refused(config: dict, step: dict):
    assert list(refusals(config, step))


def test_a_valid_pod_is_not_refused():
    config = mount(subPath="a/b") | {
        "emptyDirMounts": [{"volumeName": "memory", "mountPath": "/dev/shm", "sizeLimit": "1.5Gi"}],
        "secretAsEnv": [{"secretName": "a.b", "keyToEnv": [{"envVar": "A_1", "secretKey": "a.b_c-d"}]}],
        "podMetadata": {"labels": {"app.kubernetes.io/part-of": "", "a_B": "1.2"}},
        "tolerations": [{"operator": "Exists"}, {"key": "a.b/c", "operator": "Equal", "value": ""}],
    }
    step = container(resourceCpuLimit="500m", resourceMemoryLimit="1e3", accelerator={"resourceType": "a.b/gpu"})
    assert list(refusals(config, step)) == []
