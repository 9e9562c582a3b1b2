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
from pipeline.settings import apply_overrides
from pipeline.steps import TRAITS
from pipeline.validation import explain

# The steps that train, on GPU nodes.
GPU_STEPS = frozenset(step for step, traits in TRAITS.items() if traits.gpu)

# Paths of artifacts, of KFP's launcher and of the system, where no volume may be mounted.
RESERVED = re.compile(r"/(minio|s3|gcs|oci|kfp[^/]*|var/run|proc|sys|dev)?(/.*)?")
PINNED = re.compile(r"[^\s@]+(:(?!latest$)[\w][\w.-]*|@sha256:[0-9a-f]{64})")

Quantity = Annotated[
    str,
    StringConstraints(pattern=r"^(0*[1-9]\d{0,14}(\.\d{1,9})?|0*\.0*[1-9]\d{0,8})(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"),
    Field(coerce_numbers_to_str=True),
]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")]
Variable = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Label = Annotated[str, StringConstraints(pattern=r"^(([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9])?$")]
LabelName = Annotated[
    str,
    StringConstraints(
        pattern=r"^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
    ),
]
Folder = Annotated[str, StringConstraints(pattern=r"^/[^/\s]+(/[^/\s]+)*$")]


class Volume(Settings):
    """A persistent volume claim that every step mounts; it needs ReadWriteMany, as steps run side by side."""

    claim: Name
    path: Folder
    sub_path: str = ""

    @field_validator("path")
    @classmethod
    def _is_not_reserved(cls, path: str) -> str:
        if RESERVED.fullmatch(path):
            raise ValueError(f"path is {path!r}, which KFP or the system uses, expected another such as /mnt/data")
        return path


class Secret(Settings):
    """A secret of the namespace; `env` maps environment variables to its keys."""

    name: Name
    env: dict[Variable, str]


class Toleration(Settings):
    """Allows a step on nodes with this taint."""

    key: str = ""
    operator: Literal["Exists", "Equal"] = "Exists"
    value: str = ""
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = ""


class Node(Settings):
    """The resources that a step requests from its node; CPU and memory are also its limits."""

    image: str = ""
    cpu: Quantity = "4"
    memory: Quantity = "8Gi"
    gpus: Annotated[int, Field(ge=0, le=1000)] = 0
    gpu_type: LabelName = "nvidia.com/gpu"
    shared_memory: Quantity | None = None
    node_selector: dict[LabelName, Label] = {}
    tolerations: tuple[Toleration, ...] = ()
    timeout_hours: Annotated[float, Field(ge=1 / 60, le=10_000)] | None = None

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
    """How often a failed step is retried, and after how many seconds; `backoff_factor` lengthens each pause."""

    max_retries: Annotated[int, Field(ge=0, le=1000)] = 2
    backoff_seconds: Count = 60
    backoff_factor: Annotated[float, Field(ge=1, le=1000)] = 2.0
    max_backoff_seconds: Count = 3600


class ClusterSettings(Settings):
    """Settings of the cluster that the steps of a package run on.

    Trainer and Tuner run on nodes with the settings `gpu`, the others with `cpu`; `steps` changes keys of these for
    single steps. `image` has a tag other than latest or a digest. `work_directory`, on one of the volumes, holds the
    checkpoints from which a killed Trainer or Tuner resumes. Blessed models are pushed to `push_directory`, on one of
    the volumes or gs://.
    """

    image: str
    pipeline_root: Annotated[str, StringConstraints(pattern=r"^(minio|s3|gs)://[^/\s]+(/\S*)?$")]
    push_directory: str
    work_directory: str = ""
    volumes: tuple[Volume, ...] = ()
    secrets: tuple[Secret, ...] = ()
    env: dict[Variable, str] = {}
    labels: dict[LabelName, Label] = {}
    cpu: Node = Node()
    gpu: GpuNode = GpuNode()
    steps: dict[str, Node] = {}
    retries: Retries = Retries()
    cache: bool = True
    image_pull_policy: Literal["IfNotPresent", "Always", "Never"] = "IfNotPresent"
    image_pull_secrets: tuple[Name, ...] = ()

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
    def _directories_outlive_their_pods(self) -> Self:
        push, work = self.push_directory, self.work_directory
        if not push.startswith("gs://") and not self.on_a_volume(push):
            raise ValueError(f"push_directory is {push!r}, allowed: gs:// or a folder in {self.mounted()}")
        if work and not self.on_a_volume(work):
            raise ValueError(f"work_directory is {work!r}, allowed: a folder in {self.mounted()}")
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
    """Whether an image's name has a tag other than latest, or a digest."""
    return bool(PINNED.fullmatch(image))


def require_pinned(image: str) -> None:
    """Raises ValueError unless the image has a tag other than latest, or a digest."""
    if not is_pinned(image):
        raise ValueError(f"image is {quote(image)}, expected a tag other than latest or a digest (@sha256:...)")
