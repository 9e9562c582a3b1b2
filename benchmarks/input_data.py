"""Writes a synthetic data set and what the pipeline makes of it: the files that training reads.

    python benchmarks/input_data.py FOLDER [--level frame] [--videos 1000]

FOLDER gets the raw shards, ExampleGen's packed examples, Transform's graph and features, and `input.json` when all are
complete; a folder that has it is left as it is. At most 1,000 videos are drawn, which takes a minute; the shards of
more are copies of theirs.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from measuring import QUIET

from components.readable_log import import_tensorflow
from models.features import YT8M_CLASSES, Level

DRAWN_VIDEOS = 1000

PARTS = ("drawn", "raw", "schema", "examples", "quarantine", "transform_graph", "transformed_examples", "tmp")


@dataclass(frozen=True)
class InputData:
    """A data set before and after ExampleGen and Transform, by its folders.

    Attributes:
        level: of the records.
        videos: number of videos.
        train_videos: those of the train split, nearly all.
        raw: the shards as YouTube-8M publishes them.
        examples: ExampleGen's packed examples.
        graph: Transform's.
        features: Transform's examples.
    """

    level: Level
    videos: int
    train_videos: int
    raw: str
    examples: str
    graph: str
    features: str

    @classmethod
    def read(cls, folder: Path) -> "InputData":
        """What `main` wrote to a folder."""
        return cls(**json.loads((folder / "input.json").read_text()))

    @classmethod
    def write(cls, folder: Path, level: Level, videos: int) -> "InputData":
        """Writes a data set in another process, unless the folder has it."""
        command = [sys.executable, __file__, folder, "--level", level, "--videos", videos]
        environment = os.environ | QUIET
        if subprocess.run([str(part) for part in command], stdout=subprocess.DEVNULL, env=environment).returncode:
            sys.exit(f"{folder} has no data, see above")
        return cls.read(folder)

    @property
    def files(self) -> list[str]:
        """What training reads: packed examples of frames or Transform's features, of the train split."""
        folder = self.examples if self.level == "frame" else self.features
        return sorted(map(str, Path(folder, "Split-train").glob("data_tfrecord-*")))

    @property
    def raw_files(self) -> list[str]:
        """The shards that the videos came from."""
        return sorted(map(str, Path(self.raw).glob("*.tfrecord")))


def ingest(data: Path, out: Path, level: Level, labels: int, split: str = "id:98/1/1") -> Any:
    """Runs ExampleGen; returns its examples, an artifact."""
    from tfx import v1 as tfx

    from components.example_gen.component import ExampleGenDriver, ExampleGenExecutor, Quarantine

    properties = {"data": str(data), "split": split, "seed": 0, "level": level, "classes": labels}
    properties |= {"validation_data": "", "test_data": ""}
    properties |= {"kept_features": "[]", "quarantine_limit": 0.0, "sources": "", "spans": 1}
    outputs = {"examples": tfx.types.standard_artifacts.Examples(), "quarantine": Quarantine()}
    _execute(ExampleGenExecutor, {}, outputs, ExampleGenDriver(None).resolve({}, properties), out)
    return outputs["examples"]


def transform(examples: Any, out: Path, level: Level, labels: int) -> tuple[str, str]:
    """Runs Transform; returns the folders of its graph and its features."""
    from tfx import v1 as tfx

    import components.schema
    from components.transform.component import TransformExecutor

    kinds = tfx.types.standard_artifacts
    schema, graph, features = kinds.Schema(), kinds.TransformGraph(), kinds.Examples()
    schema.uri = str(out / "schema")
    Path(schema.uri).mkdir(parents=True)
    text = Path(components.schema.__file__).with_name(f"{level}.pbtxt").read_text()
    Path(schema.uri, "schema.pbtxt").write_text(text)
    properties = {
        "preprocessing_fn": "components.transform.preprocessing.preprocessing_fn",
        "custom_config": json.dumps({"level": level, "classes": labels}),
        "disable_statistics": 1,
    }
    outputs = {"transform_graph": graph, "transformed_examples": features}
    _execute(TransformExecutor, {"examples": examples, "schema": schema}, outputs, properties, out)
    return graph.uri, features.uri


def _execute(executor: Any, inputs: Mapping[str, Any], outputs: Mapping[str, Any], properties: Any, out: Path) -> None:
    """Runs an executor as TFX's launcher does; each output gets a folder named after it."""
    for name, artifact in outputs.items():
        artifact.uri = str(out / name)
        Path(artifact.uri).mkdir(parents=True)
    context = executor.Context(beam_pipeline_args=["--runner=FnApiRunner"], tmp_dir=str(out / "tmp"), unique_id="1")
    executor(context).Do(
        {name: [artifact] for name, artifact in inputs.items()},
        {name: [artifact] for name, artifact in outputs.items()},
        properties,
    )


def _synthesize(folder: Path, level: Level, videos: int) -> Path:
    """Writes raw shards; returns their folder."""
    from pipeline.data.synthetic_data import write_dataset

    drawn = min(videos, DRAWN_VIDEOS)
    # About as many videos a shard as YouTube-8M has.
    write_dataset(folder / "drawn", level, drawn, YT8M_CLASSES, seed=0, shards=2 if level == "video" else 10)
    shards = folder / "raw"
    shards.mkdir()
    for copy in range(-(-videos // drawn)):
        for shard in (folder / "drawn").glob("*.tfrecord"):
            shutil.copy(shard, shards / f"{copy:04d}-{shard.name}")
    shutil.rmtree(folder / "drawn")
    return shards


def main() -> None:
    """Writes the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--level", choices=("frame", "video"), default="frame")
    parser.add_argument("--videos", type=int, default=1000, help="a multiple of 1,000, or fewer")
    arguments = parser.parse_args()
    folder, level, videos = arguments.folder, arguments.level, arguments.videos
    if videos < 100 or (videos > DRAWN_VIDEOS and videos % DRAWN_VIDEOS):
        parser.error(f"argument --videos: {videos} is not a multiple of {DRAWN_VIDEOS} or from 100 to {DRAWN_VIDEOS}")
    if (folder / "input.json").exists():
        found = InputData.read(folder)
        if (found.level, found.videos) != (level, videos):
            parser.error(f"{folder} has {found.videos} {found.level}-level videos, expected {videos} {level}-level")
        return
    import_tensorflow()
    for part in PARTS:  # of a call that was killed
        shutil.rmtree(folder / part, ignore_errors=True)
    raw = _synthesize(folder, level, videos)
    examples = ingest(raw, folder, level, YT8M_CLASSES)
    graph, features = transform(examples, folder, level, YT8M_CLASSES)
    train_videos = examples.get_int_custom_property("train_videos")
    data = InputData(level, videos, train_videos, str(raw), examples.uri, graph, features)
    (folder / "input.json").write_text(json.dumps(asdict(data)))


if __name__ == "__main__":
    main()
