"""The smallest real thing that a model is exported with."""

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import apache_beam as beam
import pytest
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

import components.schema
from components.transform.preprocessing import preprocessing_fn
from models.features import Level


@pytest.fixture(scope="session")
def transform_graph(tmp_path_factory) -> Callable[[Level, int], str]:
    """`(level, classes)` -> folder of the Transform graph, which needs no data: nothing in it is measured."""

    @cache
    def write(level: Level, classes: int) -> str:
        folder = tmp_path_factory.mktemp("graph") / level
        text = Path(components.schema.__file__).with_name(f"{level}.pbtxt").read_text()
        metadata = tft.DatasetMetadata(text_format.Parse(text, schema_pb2.Schema()))
        prepare = partial(preprocessing_fn, custom_config={"level": level, "classes": classes})
        with beam.Pipeline("FnApiRunner") as pipeline, tft_beam.Context(temp_dir=f"{folder}-temporary"):
            graph = (pipeline | beam.Create([]), metadata) | tft_beam.AnalyzeDataset(prepare)
            graph | tft_beam.WriteTransformFn(str(folder))
        (folder / "metadata").mkdir()
        (folder / "metadata" / "schema.pbtxt").write_text(text)
        return str(folder)

    return write
