"""The `cluster:` block: what a package must know of the cluster that it will run on."""

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

# The steps that train.
GPU_STEPS = frozenset(step for step, traits in TRAITS.items() if traits.gpu)

# Where KFP's launcher puts artifacts and itself.
LAUNCHERS = re.compile(r"/(minio|s3|gcs|oci|kfp[^/]*|var/run|proc|sys|dev)?(/.*)?")
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
    """A persistent volume claim that every step mounts; several steps use it at once, so ReadWriteMany."""

    claim: Name
    path: Folder
    sub_path: str = ""

    @field_validator("path")
    @classmethod
    def _is_not_the_launchers(cls, path: str) -> str:
        if LAUNCHERS.fullmatch(path):
            raise ValueError(f"path is {path!r}, which KFP or the system uses, say /mnt/data")
        return path


class Secret(Settings):
    """A secret of the namespace; `env` says which of its keys becomes which variable."""

    name: Name
    env: dict[Variable, str]


class Toleration(Settings):
    """Lets a step onto nodes with this taint."""

    key: str = ""
    operator: Literal["Exists", "Equal"] = "Exists"
    value: str = ""
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = ""


class Node(Settings):
    """What a step asks of the node that it runs on; it gets as much CPU and memory as it asks for, and no more."""

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
    """A node with a GPU; the shared memory is counted as the step's."""

    cpu: Quantity = "8"
    memory: Quantity = "32Gi"
    gpus: Annotated[int, Field(ge=0, le=1000)] = 1
    shared_memory: Quantity | None = "2Gi"
    tolerations: tuple[Toleration, ...] = (Toleration(key="nvidia.com/gpu", effect="NoSchedule"),)


class Retries(Settings):
    """How often a failed step is begun again, and after how many seconds: each time `backoff_factor` times longer."""

    max_retries: Annotated[int, Field(ge=0, le=1000)] = 2
    backoff_seconds: Count = 60
    backoff_factor: Annotated[float, Field(ge=1, le=1000)] = 2.0
    max_backoff_seconds: Count = 3600


class ClusterSettings(Settings):
    """Where the steps of a package run, and what they find there.

    Trainer and Tuner run on nodes as `gpu` says, the others as `cpu` says; `steps` changes keys of those for single
    steps. `image` has a tag other than latest or a digest. `work_directory` is where Trainer and Tuner keep what a
    killed one goes on from; it lies on one of the volumes. Blessed models are pushed to `push_directory`, on one of the
    volumes or gs://.
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
    def _steps_start_from_cpu_or_gpu(cls, given: Any) -> Any:
        steps = given.get("steps") if isinstance(given, dict) else None
        if not isinstance(steps, dict):
            return given
        merged = {}
        for step, own in steps.items():
            group, kind = ("gpu", GpuNode) if step in GPU_STEPS else ("cpu", Node)
            base = given.get(group) or {}
            whole = isinstance(own, dict) and isinstance(base, dict)
            merged[step] = {**kind().model_dump(), **base, **own} if whole else own
        return {**given, "steps": merged}

    @field_validator("image")
    @classmethod
    def _is_pinned(cls, image: str) -> str:
        require_pinned(image)
        return image

    @model_validator(mode="after")
    def _directories_outlive_their_pods(self) -> Self:
        pushes, works = self.push_directory, self.work_directory
        if not pushes.startswith("gs://") and not self.on_a_volume(pushes):
            raise ValueError(f"push_directory is {pushes!r}, allowed: gs:// or a folder in {self.mounted()}")
        if works and not self.on_a_volume(works):
            raise ValueError(f"work_directory is {works!r}, allowed: a folder in {self.mounted()}")
        return self

    def node(self, step: str) -> Node:
        """What a step asks for."""
        return self.steps.get(step) or (self.gpu if step in GPU_STEPS else self.cpu)

    def on_a_volume(self, path: str) -> bool:
        """Whether the path lies on a volume that the steps mount."""
        return ".." not in Path(path).parts and any(Path(path).is_relative_to(volume.path) for volume in self.volumes)

    def mounted(self) -> str:
        """The volumes' paths, in words."""
        return ", ".join(volume.path for volume in self.volumes) or "one of cluster.volumes, of which there are none"


class _File(Settings):
    cluster: ClusterSettings


def read_cluster(file: Path, overrides: Sequence[str] = ()) -> ClusterSettings:
    """The cluster's settings from a YAML file with the one key `cluster`.

    Args:
        file: YAML.
        overrides: `cluster.key=value`, values as YAML.

    Raises:
        InputError: names the file, the key, the value and what is allowed.
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
    """Whether an image's name means the same image tomorrow."""
    return bool(PINNED.fullmatch(image))


def require_pinned(image: str) -> None:
    """Raises ValueError unless the image has a tag other than latest, or a digest."""
    if not is_pinned(image):
        raise ValueError(f"image is {quote(image)}, expected a tag other than latest or a digest (@sha256:...)")
