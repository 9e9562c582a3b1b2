"""What Kubernetes 1.34 refuses in a pod: names, quantities, labels, tolerations.

Rules and messages are those of k8s.io/apimachinery (pkg/util/validation/validation.go, pkg/api/resource/quantity.go)
and of pkg/apis/core/validation/validation.go, for the fields that a package can set.
"""

import re
from collections.abc import Iterator
from typing import Any

LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
SUBDOMAIN = rf"{LABEL}(\.{LABEL})*"
NAME = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
QUANTITY = r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?"
VARIABLE = r"[-._a-zA-Z][-._a-zA-Z0-9]*"
KEY = r"(?!\.$|\.\.)[-._a-zA-Z0-9]+"

# Argo's and KFP's own volumes of a step (argo-workflows, workflow/common; backend/src/v2/compiler/argocompiler).
OWN_VOLUMES = {"var-run-argo", "tmp-dir-argo", "kfp-launcher"} | {
    f"{name}-scratch" for name in ("gcs", "s3", "minio", "dot-local", "dot-cache", "dot-config")
}


def refusals(config: dict[str, Any], container: dict[str, Any]) -> Iterator[str]:
    """What Kubernetes says of a step's pod; nothing of a valid one.

    Args:
        config: the executor's KubernetesExecutorConfig, as JSON.
        container: the executor's container, as JSON.
    """
    yield from _image(container.get("image", "image"))
    yield from _volumes(config)
    yield from _resources(container.get("resources", {}))
    for variable in container.get("env", []):
        yield from _is("env", variable["name"], VARIABLE)
    for source in config.get("secretAsEnv", []):
        yield from _is("secretKeyRef.name", source["secretName"], SUBDOMAIN, 253)
        for pair in source.get("keyToEnv", []):
            yield from _is("env", pair["envVar"], VARIABLE)
            yield from _is("secretKeyRef.key", pair["secretKey"], KEY, 253)
    for source in config.get("imagePullSecret", []):
        yield from _is("imagePullSecrets", source["secretName"], SUBDOMAIN, 253)
    pairs = {**config.get("podMetadata", {}).get("labels", {}), **config.get("nodeSelector", {}).get("labels", {})}
    for name, value in pairs.items():
        yield from _qualified("labels", name)
        yield from _value("labels", value)
    for toleration in config.get("tolerations", []):
        yield from _toleration(toleration)


def _image(image: str) -> Iterator[str]:
    """The kubelet's InvalidImageName, by the grammar of distribution/reference (regexp.go)."""
    path = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
    domain = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
    name = rf"(?:{domain}(?:\.{domain})*(?::[0-9]+)?/)?{path}(?:/{path})*"
    if not re.fullmatch(rf"{name}(?::\w[\w.-]{{0,127}})?(?:@sha256:[0-9a-f]{{64}})?", image, re.ASCII):
        yield f"couldn't parse image name {image!r}: invalid reference format"


def _volumes(config: dict[str, Any]) -> Iterator[str]:
    """makeVolumes of v2/driver/k8s.go names volumes after their claims."""
    names = [mount["constant"] for mount in config.get("pvcMount", [])]
    names += [mount["volumeName"] for mount in config.get("emptyDirMounts", [])]
    for name in names:
        yield from _is("spec.volumes.name", name, LABEL, 63)
    for name in sorted(OWN_VOLUMES & set(names)):
        yield f"spec.volumes.name: Duplicate value: {name!r}"
    mounts = [*config.get("pvcMount", []), *config.get("emptyDirMounts", [])]
    paths = [mount["mountPath"] for mount in mounts]
    for mount in mounts:
        if paths.count(mount["mountPath"]) > 1:
            yield f"volumeMounts.mountPath: Invalid value: {mount['mountPath']!r}: must be unique"
        if ":" in mount["mountPath"]:
            yield f"volumeMounts.mountPath: Invalid value: {mount['mountPath']!r}: must not contain ':'"
        parts = mount.get("subPath", "").split("/")
        if ".." in parts or parts[0] == "" != mount.get("subPath", ""):
            yield f"volumeMounts.subPath: Invalid value: {mount['subPath']!r}: must be a relative path without '..'"
        if "sizeLimit" in mount:
            yield from _is("sizeLimit", mount["sizeLimit"], QUANTITY)


def _resources(resources: dict[str, Any]) -> Iterator[str]:
    for key, quantity in resources.items():
        if key.startswith("resource"):
            yield from _is(key, quantity, QUANTITY)
            if quantity.startswith("-"):
                yield f"{key}: Invalid value: {quantity!r}: must be greater than or equal to 0"
    if accelerator := resources.get("accelerator"):
        yield from _qualified("resources", accelerator["resourceType"])
        if "/" not in accelerator["resourceType"]:
            yield f"resources: Invalid value: {accelerator['resourceType']!r}: must be a standard resource or qualified"


def _toleration(toleration: dict[str, Any]) -> Iterator[str]:
    key, value, operator = (toleration.get(name, "") for name in ("key", "value", "operator"))
    if key:
        yield from _qualified("tolerations.key", key)
    elif operator != "Exists":
        yield f"tolerations.operator: Invalid value: {operator!r}: must be 'Exists' when `key` is empty"
    if operator == "Exists" and value:
        yield f"tolerations.operator: Invalid value: {value!r}: value must be empty when `operator` is 'Exists'"
    yield from _value("tolerations.value", value)


def _qualified(field: str, name: str) -> Iterator[str]:
    prefix, slash, last = name.rpartition("/")
    if slash:
        yield from _is(field, prefix, SUBDOMAIN, 253)
    yield from _is(field, last, NAME, 63)


def _value(field: str, value: str) -> Iterator[str]:
    if value:
        yield from _is(field, value, NAME, 63)


def _is(field: str, value: str, pattern: str, length: int = 1_000_000) -> Iterator[str]:
    if len(value) > length:
        yield f"{field}: Invalid value: {value!r}: must be no more than {length} characters"
    elif not re.fullmatch(pattern, value):
        yield f"{field}: Invalid value: {value!r}: must match {pattern}"
