"""Exported models, as small as possible."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import apache_beam as beam
import numpy as np
import pytest
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

import components.schema
from components.served_models import ModelCard
from components.trainer.export import export
from components.transform.preprocessing import preprocessing_fn
from models.features import Level
from models.settings import ModelSettings
from models.video_classifier import build_video_classifier, reads_frames

NAMES = tuple(f"name {label}" for label in range(25))
THRESHOLD = 0.4

# Experiments by name: level, encoder and sizes of the hidden layers.
MODELS = {
    "netvlad": ("frame", {"name": "netvlad", "clusters": 4}, []),
    "frame-average": ("frame", {"name": "average"}, []),
    "average": ("video", {"name": "average"}, [8]),
}


def write_transform_graph(folder: Path, level: Level) -> None:
    """Writes a transform graph without data, as it measures nothing."""
    text = Path(components.schema.__file__).with_name(f"{level}.pbtxt").read_text()
    metadata = tft.DatasetMetadata(text_format.Parse(text, schema_pb2.Schema()))
    prepare = partial(preprocessing_fn, custom_config={"level": level, "classes": len(NAMES)})
    with beam.Pipeline("FnApiRunner") as pipeline, tft_beam.Context(temp_dir=f"{folder}-temporary"):
        graph = (pipeline | beam.Create([]), metadata) | tft_beam.AnalyzeDataset(prepare)
        graph | tft_beam.WriteTransformFn(str(folder))
    (folder / "metadata").mkdir()
    (folder / "metadata" / "schema.pbtxt").write_text(text)


@pytest.fixture(scope="session")
def runs(once: Callable[..., Path]) -> Path:
    """A folder with a run of each of MODELS, which serves as version 7 and has NAMES and THRESHOLD."""

    def build(folder: Path) -> None:
        graphs = {level: folder / "graphs" / level for level in ("video", "frame")}
        for level, graph in graphs.items():
            write_transform_graph(graph, level)
        for name, (level, encoder, hidden_units) in MODELS.items():
            settings = ModelSettings(encoder=encoder, hidden_units=hidden_units)
            model = build_video_classifier(settings, len(NAMES), seed=1)
            # Probabilities on both sides of 0.5.
            model.get_layer("logits").bias.assign(np.linspace(-2, 2, len(NAMES)))
            if name == "average":
                hidden, logits = (layer.kernel for layer in model.layers if hasattr(layer, "kernel"))
                # Two hidden units are twice the first mean, and the model takes their difference: infinity minus
                # infinity for 3e38.
                hidden[:, :2].assign(np.eye(1152, 1) * [2, 2])
                logits[:2].assign([[1] * len(NAMES), [-1] * len(NAMES)])
            assert reads_frames(settings, level) == (name == "netvlad")
            card = ModelCard(level=level, model_id=name, model=settings.model_dump(mode="json"), threshold=THRESHOLD)
            export(model, str(graphs[level]), NAMES, card, str(folder / name / "serving" / "7"))

    return once("models-of-25-labels", build)
