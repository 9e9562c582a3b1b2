"""The pipeline as a cluster runs it, and its graph, which a package fixes."""

import hashlib
from dataclasses import dataclass

from tfx import v1 as tfx

from components.example_gen.synthetic import SyntheticData
from models.vocabulary import Vocabulary
from pipeline.beam.options import beam_args
from pipeline.create_pipeline import create_pipeline
from pipeline.settings import RunSettings

# Separates the edges in a container's argument.
SEPARATOR = "; "


@dataclass(frozen=True)
class Places:
    """The directories that a package fixes.

    Attributes:
        push_directory: where blessed models are published.
        work_directory: checkpoints and trials from which a killed training or search resumes, and TensorBoard's logs.
    """

    push_directory: str
    work_directory: str


def build_pipeline(
    settings: RunSettings, vocabulary: Vocabulary, places: Places, synthetic: SyntheticData | None = None
) -> tfx.dsl.Pipeline:
    """The pipeline of `yt8m run`, with each training's logs in a folder of their own. KFP sets the artifacts' paths.

    Args:
        settings: of the run.
        vocabulary: of the labels; their number does not affect the graph.
        places: directories of the package.
        synthetic: description of synthetic shards; it does not affect the graph.
    """
    training = f"{settings.experiment}-{hashlib.sha256(settings.model_dump_json().encode()).hexdigest()[:8]}"
    return create_pipeline(
        settings,
        vocabulary,
        synthetic,
        pipeline_root="",
        push_directory=places.push_directory,
        checkpoint_dir=f"{places.work_directory}/checkpoints",
        tune_dir=f"{places.work_directory}/search",
        log_dir=f"{places.work_directory}/logs/{training}" if places.work_directory else "",
        beam_args=beam_args(settings.beam),
    )


def edges(pipeline: tfx.dsl.Pipeline) -> list[str]:
    """The edges, sorted: `Trainer.model -> Evaluator.model`, `DriftDetector -> Trainer`, `s3://a/b -> Importer`."""
    lines = set()
    for node in pipeline.components:
        sources = {name: channel.producer_component_id for name, channel in node.inputs.items()}
        for name, channel in node.inputs.items():
            lines.add(f"{sources[name]}.{channel.output_key} -> {node.id}.{name}")
        for upstream in node.upstream_nodes:
            if upstream.id not in sources.values():
                lines.add(f"{upstream.id} -> {node.id}")
        if isinstance(node, tfx.dsl.Importer):
            lines.add(f"{node.exec_properties['artifact_uri']} -> {node.id}")
    return sorted(lines)
