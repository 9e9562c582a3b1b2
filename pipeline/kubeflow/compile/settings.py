"""The `cluster:` block: settings of the cluster that a package will run on."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from models.errors import InputError, quote
from models.settings import Count, Settings
from pipeline.files.yaml_text import read_yaml
from pipeline.kubeflow.compile.kubernetes_values import (
    Claim,
    Folder,
    LabelName,
    LabelNameOrNone,
    LabelValue,
    ObjectName,
    Quantity,
    Resource,
    SecretKey,
    Variable,
)
from pipeline.settings import apply_overrides
from pipeline.steps import TRAITS
from pipeline.validation import explain

# The steps that train or predict, on GPU nodes.
GPU_STEPS = frozenset(step for step, traits in TRAITS.items() if traits.gpu)

# Paths of artifacts, of KFP's launcher and of the system, where no volume may be mounted.
RESERVED = re.compile(r"/(minio|s3|gcs|oci|kfp[^/]*|var/run|proc|sys|dev)?(/.*)?")
# An image as the kubelet reads it, [REGISTRY/]NAME, with a tag other than latest, a digest or both.
_DOMAIN = r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"
_NAME = r"[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*"
PINNED = re.compile(
    rf"({_DOMAIN}(\.{_DOMAIN})*(:[0-9]+)?/)?{_NAME}(/{_NAME})*"
    r"(:(?!latest$)\w[\w.-]{0,127}|(:\w[\w.-]{0,127})?@sha256:[0-9a-f]{64})",
    re.ASCII,
)

# Volumes that every step has: Argo's, KFP's, and ours for shared memory. A claim of that name would replace one.
SHARED_MEMORY = "shared-memory"
OWN_VOLUMES = frozenset({SHARED_MEMORY, "var-run-argo", "tmp-dir-argo", "kfp-launcher"}) | {
    f"{name}-scratch" for name in ("gcs", "s3", "minio", "dot-local", "dot-cache", "dot-config")
}

# Attempts may wait for a node that long, beside what they take.
SECONDS_FOR_ATTEMPTS = 30 * 24 * 3600


class Volume(Settings):
    """A persistent volume claim that every step mounts; it needs ReadWriteMany, as steps run side by side."""

    claim: Claim
    path: Folder
    sub_path: str = ""

    @field_validator("claim")
    @classmethod
    def _is_not_a_volume_of_every_step(cls, claim: str) -> str:
        if claim in OWN_VOLUMES:
            raise ValueError(f"claim is {claim!r}, the name of a volume that every step has, allowed: any other")
        return claim

    @field_validator("sub_path")
    @classmethod
    def _is_inside_the_volume(cls, sub_path: str) -> str:
        if sub_path.startswith("/") or ".." in sub_path.split("/"):
            raise ValueError(f"sub_path is {sub_path!r}, allowed: a path inside the volume, without / first and ..")
        return sub_path

    @field_validator("path")
    @classmethod
    def _is_not_reserved(cls, path: str) -> str:
        if RESERVED.fullmatch(path):
            raise ValueError(f"path is {path!r}, which KFP or the system uses, expected another such as /mnt/data")
        return path


class Secret(Settings):
    """A secret of the namespace; `env` maps environment variables to its keys."""

    name: ObjectName
    env: dict[Variable, SecretKey]


class Toleration(Settings):
    """Allows a step on nodes with this taint."""

    key: LabelNameOrNone = ""
    operator: Literal["Exists", "Equal"] = "Exists"
    value: LabelValue = ""
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = ""

    @model_validator(mode="after")
    def _value_fits_the_operator(self) -> Self:
        if self.operator == "Exists" and self.value:
            raise ValueError(f"value is {self.value!r}, allowed with operator Exists: none (Equal compares values)")
        if self.operator == "Equal" and not self.key:
            raise ValueError("operator is 'Equal', allowed without a key: Exists")
        return self


class Node(Settings):
    """The resources that a step requests from its node; CPU and memory are also its limits."""

    image: str = ""
    cpu: Quantity = "4"
    memory: Quantity = "8Gi"
    gpus: Annotated[int, Field(ge=0, le=1000)] = 0
    gpu_type: Resource = "nvidia.com/gpu"
    shared_memory: Quantity | None = None
    node_selector: dict[LabelName, LabelValue] = {}
    tolerations: tuple[Toleration, ...] = ()
    timeout_hours: Annotated[float, Field(ge=1 / 60, le=10_000)] | None = None

    @property
    def timeout_seconds(self) -> int:
        """Time limit of an attempt; 0 for none."""
        return round((self.timeout_hours or 0) * 3600)

    @field_validator("image")
    @classmethod
    def _is_pinned(cls, image: str) -> str:
        if image:
            require_pinned(image)
        return image


class GpuNode(Node):
    """A node with a GPU; the shared memory counts towards the step's memory."""

    cpu: Quantity = "8"
    memory: Quantity = "32Gi"
    gpus: Annotated[int, Field(ge=0, le=1000)] = 1
    shared_memory: Quantity | None = "2Gi"
    tolerations: tuple[Toleration, ...] = (Toleration(key="nvidia.com/gpu", effect="NoSchedule"),)


class Retries(Settings):
    """How often a failed step is retried, and after how many seconds; `backoff_factor` lengthens each wait.

    Argo reads the factor as a whole number: it accepts others and fails at the first retry.
    """

    max_retries: Annotated[int, Field(ge=0, le=100)] = 2
    backoff_seconds: Count = 60
    backoff_factor: Annotated[int, Field(ge=1, le=1000)] = 2

    @model_validator(mode="before")
    @classmethod
    def _no_longest_wait(cls, content: Any) -> Any:
        if isinstance(content, dict) and "max_backoff_seconds" in content:
            raise ValueError(
                f"max_backoff_seconds is {quote(content['max_backoff_seconds'])}, but Kubeflow Pipelines knows no "
                "longest wait; remove it: max_retries, backoff_seconds and backoff_factor alone decide the waits"
            )
        return content

    @model_validator(mode="after")
    def _waits_end(self) -> Self:
        if self.waits > SECONDS_FOR_ATTEMPTS:
            raise ValueError(
                f"max_retries is {self.max_retries}, backoff_seconds {self.backoff_seconds} and backoff_factor "
                f"{self.backoff_factor}, allowed: waits of at most 30 days together"
            )
        return self

    @property
    def waits(self) -> int:
        """Seconds of all waits between attempts together."""
        return sum(self.backoff_seconds * self.backoff_factor**retry for retry in range(self.max_retries))

    def window(self, timeout_seconds: int) -> int:
        """Seconds within which all attempts of a step end, counted from the start of the first.

        Kubeflow Pipelines retries no attempt that ends later, and ends those that are running then.

        Args:
            timeout_seconds: of an attempt; 0 for none.
        """
        return SECONDS_FOR_ATTEMPTS + self.waits + (self.max_retries + 1) * timeout_seconds


class ClusterSettings(Settings):
    """Settings of the cluster that the steps of a package run on.

    TeacherPredictions, Tuner and Trainer run on nodes with the settings `gpu`, the others with `cpu`; `steps` changes
    keys of these for single steps. `image` has a tag other than latest or a digest. `work_directory`, on one of the
    volumes, holds the checkpoints from which a killed Trainer or Tuner resumes. Blessed models are pushed to
    `push_directory`, on one of the volumes or gs://. With `artifacts: volume`, large artifacts stay in
    `artifact_directory`, on one of the volumes; else KFP's launcher copies all of them to the store and to each step.
    """

    image: str
    pipeline_root: Annotated[str, StringConstraints(pattern=r"^(minio|s3|gs)://[^/\s]+(/\S*)?$")]
    push_directory: str
    work_directory: str = ""
    artifacts: Literal["store", "volume"] = "store"
    artifact_directory: str = ""
    volumes: tuple[Volume, ...] = ()
    secrets: tuple[Secret, ...] = ()
    env: dict[Variable, str] = {}
    labels: dict[LabelName, LabelValue] = {}
    cpu: Node = Node()
    gpu: GpuNode = GpuNode()
    steps: dict[str, Node] = {}
    retries: Retries = Retries()
    cache: bool = True
    image_pull_policy: Literal["IfNotPresent", "Always", "Never"] = "IfNotPresent"
    image_pull_secrets: tuple[ObjectName, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _steps_start_from_cpu_or_gpu(cls, content: Any) -> Any:
        steps = content.get("steps") if isinstance(content, dict) else None
        if not isinstance(steps, dict):
            return content
        merged = {}
        for step, own in steps.items():
            group, kind = ("gpu", GpuNode) if step in GPU_STEPS else ("cpu", Node)
            base = content.get(group) or {}
            mappings = isinstance(own, dict) and isinstance(base, dict)
            merged[step] = {**kind().model_dump(), **base, **own} if mappings else own
        return {**content, "steps": merged}

    @field_validator("image")
    @classmethod
    def _is_pinned(cls, image: str) -> str:
        require_pinned(image)
        return image

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        paths = [volume.path for volume in self.volumes]
        if repeated := next((path for path in paths if paths.count(path) > 1), None):
            raise ValueError(f"volumes has the path {repeated!r} twice, allowed: one volume a path")
        variables = [*self.env, *(variable for secret in self.secrets for variable in secret.env)]
        if repeated := next((name for name in variables if variables.count(name) > 1), None):
            raise ValueError(f"env and secrets set the variable {repeated!r} twice, allowed: once")
        return self

    @model_validator(mode="after")
    def _directories_outlive_their_pods(self) -> Self:
        push, work = self.push_directory, self.work_directory
        if not push.startswith("gs://") and not self.on_a_volume(push):
            raise ValueError(f"push_directory is {push!r}, allowed: gs:// or a folder in {self.mounted()}")
        if work and not self.on_a_volume(work):
            raise ValueError(f"work_directory is {work!r}, allowed: a folder in {self.mounted()}")
        return self

    @model_validator(mode="after")
    def _large_artifacts_have_one_place(self) -> Self:
        where = self.artifact_directory
        if self.artifacts == "volume" and not self.on_a_volume(where):
            raise ValueError(
                f"artifact_directory is {where!r}, allowed with artifacts volume: a folder in {self.mounted()}"
            )
        if self.artifacts == "store" and where:
            raise ValueError(f"artifact_directory is {where!r}, allowed with artifacts store: none")
        return self

    def node(self, step: str) -> Node:
        """The node settings of a step."""
        return self.steps.get(step) or (self.gpu if step in GPU_STEPS else self.cpu)

    def on_a_volume(self, path: str) -> bool:
        """Whether the path is on a volume that the steps mount."""
        return ".." not in Path(path).parts and any(Path(path).is_relative_to(volume.path) for volume in self.volumes)

    def mounted(self) -> str:
        """Paths of the volumes, for messages."""
        return ", ".join(volume.path for volume in self.volumes) or "one of cluster.volumes (none is set)"


class _File(Settings):
    cluster: ClusterSettings


def read_cluster(file: Path, overrides: Sequence[str] = ()) -> ClusterSettings:
    """Reads the cluster's settings from a YAML file with the single key `cluster`.

    Args:
        file: the YAML file.
        overrides: `cluster.key=value`, values as YAML.

    Raises:
        InputError: a setting is wrong; names the file, the key, the value and what is allowed.
    """
    content = read_yaml("--cluster", file)
    if not isinstance(content, dict):
        raise InputError(f"{file}: holds {quote(content)}, expected the key cluster with settings")
    apply_overrides(content, overrides)
    try:
        return _File.model_validate(content).cluster
    except ValidationError as error:
        raise InputError(f"{file}: {explain(error, _File)}") from None


def is_pinned(image: str) -> bool:
    """Whether it names an image, with a tag other than latest or a digest."""
    return bool(PINNED.fullmatch(image))


def require_pinned(image: str) -> None:
    """Raises ValueError unless it names an image, with a tag other than latest or a digest."""
    if not is_pinned(image):
        expected = "a name in lowercase, with a tag other than latest or a digest (@sha256:...)"
        raise ValueError(f"image is {quote(image)}, expected {expected}")
