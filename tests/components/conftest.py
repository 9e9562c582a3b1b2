"""Executors run as by TFX's launcher, without a metadata store; data sets that several files read."""

import json
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import boto3
import pytest
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions
from moto.s3.models import s3_backends
from moto.server import ThreadedMotoServer
from tfx import v1 as tfx
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.utils import json_utils

import components.schema
from components.example_gen.component import ExampleGenDriver, ExampleGenExecutor, Quarantine
from components.transform.component import TransformExecutor

Examples, TransformGraph = tfx.types.standard_artifacts.Examples, tfx.types.standard_artifacts.TransformGraph

# The second option keeps TFX from packaging itself for each executor, 2 s of CPU.
BEAM_ARGS = ["--runner=FnApiRunner", "--sdk_container_image=none"]


@dataclass(frozen=True)
class Steps:
    """Runs steps of the pipeline, which write into `folder`."""

    folder: Path

    def artifact(self, kind: type, name: str) -> Any:
        """An artifact of a type with an empty folder of its own: `name`, then `name1` and so on."""
        made = kind()
        uris = (self.folder / "artifacts" / f"{name}{number or ''}" for number in count())
        made.uri = str(next(uri for uri in uris if not uri.exists()))
        Path(made.uri).mkdir(parents=True)
        return made

    def execute(self, executor: type, inputs: dict[str, Any], outputs: dict[str, Any], properties: Any) -> None:
        """Runs an executor class on artifacts and properties."""
        beam = {"beam_pipeline_args": list(BEAM_ARGS)} if issubclass(executor, BaseBeamExecutor) else {}
        context = executor.Context(tmp_dir=str(self.folder / "tmp"), unique_id="1", **beam)
        executor(context).Do(
            {key: [value] for key, value in inputs.items()},
            {key: [value] for key, value in outputs.items()},
            properties,
        )

    def ingest(self, data: Path | str, **properties: Any) -> tuple[Any, Any]:
        """Runs ExampleGen, driver included, and returns its Examples and quarantine artifacts."""
        settings = {
            "data": str(data),
            "validation_data": "",
            "test_data": "",
            "spans": 1,
            "split": "id:60/20/20",
            "seed": 0,
            "level": "frame",
            "classes": 10,
            "kept_features": "[]",
            "quarantine_limit": 0.0,
            "sources": "",
        } | properties
        examples = self.artifact(Examples, "examples")
        quarantine = self.artifact(Quarantine, "quarantine")
        resolved = ExampleGenDriver(None).resolve({}, settings)
        self.execute(ExampleGenExecutor, {}, {"examples": examples, "quarantine": quarantine}, resolved)
        return examples, quarantine

    def transform(self, examples: Any, level: str, classes: int) -> tuple[Any, Any]:
        """Runs Transform on packed examples; returns the graph and the transformed examples."""
        schema = self.artifact(tfx.types.standard_artifacts.Schema, "schema")
        text = Path(components.schema.__file__).with_name(f"{level}.pbtxt").read_text()
        Path(schema.uri, "schema.pbtxt").write_text(text)
        graph = self.artifact(TransformGraph, "graph")
        transformed = self.artifact(Examples, "transformed")
        self.execute(
            TransformExecutor,
            {"examples": examples, "schema": schema},
            {"transform_graph": graph, "transformed_examples": transformed},
            {
                "preprocessing_fn": "components.transform.preprocessing.preprocessing_fn",
                "custom_config": json.dumps({"level": level, "classes": classes}),
                "disable_statistics": 1,
            },
        )
        return graph, transformed


@pytest.fixture(scope="session")
def steps_in() -> Callable[[Path], Steps]:
    """`(folder)` -> steps that write there, for fixtures that outlive a test."""
    return Steps


@pytest.fixture
def steps(tmp_path: Path) -> Steps:
    return Steps(tmp_path)


@pytest.fixture
def artifact(steps: Steps) -> Callable[..., Any]:
    return steps.artifact


@pytest.fixture
def execute(steps: Steps) -> Callable[..., None]:
    return steps.execute


@pytest.fixture
def ingest(steps: Steps) -> Callable[..., tuple[Any, Any]]:
    return steps.ingest


@dataclass(frozen=True)
class Transformed:
    """A data set after ExampleGen and Transform.

    Attributes:
        classes: number of labels.
        examples: packed ones, in the splits train, validation and test.
        graph: Transform's.
        transformed: the same examples with the features that are stored.
    """

    classes: int
    examples: Any
    graph: Any
    transformed: Any


def _transformed(
    once: Callable[..., Path], write_shard: Callable[..., Path], level: str, classes: int, records: Iterator[bytes]
) -> Transformed:
    def build(folder: Path) -> None:
        write_shard(folder / "data" / "a.tfrecord", list(records))
        steps = Steps(folder)
        examples, _ = steps.ingest(
            folder / "data", level=level, classes=classes, kept_features='["channel"]' if level == "video" else "[]"
        )
        graph, transformed = steps.transform(examples, level, classes)
        made = {"examples": examples, "graph": graph, "transformed": transformed}
        (folder / "made.json").write_text(json_utils.dumps(made))

    made = once(f"transformed-{level}", build) / "made.json"
    return Transformed(classes, **json_utils.loads(made.read_text()))


@pytest.fixture(scope="session")
def transformed_frames(
    once: Callable[..., Path], write_shard: Callable[..., Path], frame_record: Callable[..., bytes]
) -> Transformed:
    """Forty frame-level videos of 1 to 300 frames: the n-th has the labels n % 5 and n % 3."""
    records = (frame_record(f"{n:04d}", sorted({n % 5, n % 3}), frames=1 + n * 299 // 39) for n in range(40))
    return _transformed(once, write_shard, "frame", 5, records)


@pytest.fixture(scope="session")
def transformed_means(
    once: Callable[..., Path], write_shard: Callable[..., Path], video_record: Callable[..., bytes]
) -> Transformed:
    """Sixty video-level videos: the n-th has the labels n % 4 and n % 3, and two of three a feature `channel`."""
    channels = ({"channel": b"news"}, {"channel": b"<i>"}, {})
    records = (video_record(f"{n:04d}", sorted({n % 4, n % 3}), **channels[n % 3]) for n in range(60))
    return _transformed(once, write_shard, "video", 4, records)


class Bucket(MutableMapping[str, bytes]):
    """Key -> content of the objects in `s3://bucket`."""

    def __init__(self) -> None:
        self._s3 = boto3.client("s3")
        self._s3.create_bucket(Bucket="bucket")

    def __getitem__(self, key: str) -> bytes:
        return self._s3.get_object(Bucket="bucket", Key=key)["Body"].read()

    def __setitem__(self, key: str, content: bytes) -> None:
        self._s3.put_object(Bucket="bucket", Key=key, Body=content)

    def __delitem__(self, key: str) -> None:
        self._s3.delete_object(Bucket="bucket", Key=key)

    def __iter__(self) -> Iterator[str]:
        return (entry["Key"] for entry in self._s3.list_objects_v2(Bucket="bucket").get("Contents", []))

    def __len__(self) -> int:
        return sum(1 for _ in self)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """A bucket of a local S3 server, which the environment's variables name."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    FileSystems.set_options(PipelineOptions([]))  # without any, Beam cannot read s3://
    yield Bucket()
    s3_backends.reset()  # all servers of a process share them
    server.stop()
