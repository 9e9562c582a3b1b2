"""The Kubernetes half of a package: volumes, secrets and variables of a pod (v2/driver/k8s.go)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kfp_emulator.driver import DriverError
from kfp_emulator.pods.pod import Pod

# Where a pod runs and its name: a container cannot see any of it.
SCHEDULING = {
    "nodeSelector",
    "tolerations",
    "nodeAffinity",
    "podAffinity",
    "podMetadata",
    "imagePullSecret",
    "imagePullPolicy",
    "activeDeadlineSeconds",
    "securityContext",
}


def volumes_and_environment(
    config: dict[str, Any],
    pod: Pod,
    parameters: Mapping[str, Any],
    claims: Mapping[str, Path],
    secrets: Mapping[str, Mapping[str, str]],
) -> None:
    """extendPodSpecPatch; raises where a real pod would wait forever.

    Args:
        config: The executor's KubernetesExecutorConfig, as JSON.
        pod: Receives the mounts and variables.
        parameters: Parameters of the run.
        claims: PersistentVolumeClaim -> host folder.
        secrets: Secret -> key -> value.
    """
    for mount in config.get("pvcMount", []):
        name = _name(mount, "pvcNameParameter", "constant", parameters)
        if name not in claims:
            raise DriverError(f"the pod waits for a PersistentVolumeClaim {name!r} that does not exist")
        folder = claims[name] / mount.get("subPath", "")
        folder.mkdir(parents=True, exist_ok=True)
        pod.mounts.append((folder, mount["mountPath"]))
    for mount in config.get("emptyDirMounts", []):
        pod.volume(mount["mountPath"])
    for source in config.get("secretAsEnv", []):
        values = _secret(source, parameters, secrets)
        for pair in source.get("keyToEnv", []):
            if pair["secretKey"] in values:
                pod.environment[pair["envVar"]] = values[pair["secretKey"]]
            elif not source.get("optional"):
                raise DriverError(f"the pod's secret has no key {pair['secretKey']!r}")
    for source in config.get("secretAsVolume", []):
        folder = pod.volume(source["mountPath"])
        for key, value in _secret(source, parameters, secrets).items():
            (folder / key).write_text(value)
    for source in config.get("fieldPathAsEnv", []):
        pod.environment[source["name"]] = pod.environment["KFP_POD_NAME"]
    supported = SCHEDULING | {"pvcMount", "emptyDirMounts", "secretAsEnv", "secretAsVolume", "fieldPathAsEnv"}
    if unsupported := sorted(set(config) - supported):
        raise NotImplementedError(
            f"the emulator does not support {', '.join(unsupported)} of a KubernetesExecutorConfig"
        )


def _secret(
    source: dict[str, Any], parameters: Mapping[str, Any], secrets: Mapping[str, Mapping[str, str]]
) -> Mapping[str, str]:
    name = _name(source, "secretNameParameter", "secretName", parameters)
    if name not in secrets and not source.get("optional"):
        raise DriverError(f"the pod waits for a secret {name!r} that does not exist")
    return secrets.get(name, {})


def _name(source: dict[str, Any], parameter: str, plain: str, parameters: Mapping[str, Any]) -> str:
    """resolveK8sParameter: newer packages pass names as parameters, older backends read the plain field."""
    match source.get(parameter):
        case {"runtimeValue": {"constant": name}}:
            if source.get(plain, name) != name:
                raise DriverError(f"{plain} {source[plain]!r} and {parameter} {name!r} differ")
            return name
        case {"componentInputParameter": key}:
            return parameters[key]
        case _:
            return source[plain]
