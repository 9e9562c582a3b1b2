"""What a run has ingested, read from its metadata."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import ml_metadata as mlmd
import tensorflow as tf
from tfx import v1 as tfx
from tfx.orchestration import metadata
from tfx.orchestration.portable.mlmd import execution_lib

from components.dataset_statistics.statistics import Statistics
from components.example_gen.synthetic import SyntheticData
from models.errors import InputError
from models.features import Level
from pipeline.create_pipeline import PIPELINE_NAME
from pipeline.local.metadata_file import METADATA, require_metadata
from pipeline.steps import Step


@dataclass(frozen=True)
class Ingested:
    """The newest ingested data in a run folder, ready for training.

    Attributes:
        data: pattern of the raw shards.
        level: of the records.
        seed: of the run that split them.
        names: of the labels, in the order of their ids.
        synthetic: description of synthetic shards; None for others.
        examples: written by ExampleGen.
        transformed: written by Transform.
        transform_graph: the graph that transformed them.
    """

    data: str
    level: Level
    seed: int
    names: tuple[str, ...]
    synthetic: SyntheticData | None
    examples: tfx.dsl.Artifact
    transformed: tfx.dsl.Artifact
    transform_graph: tfx.dsl.Artifact

    @classmethod
    def find(cls, run: Path) -> Self:
        """Reads the metadata of a run.

        Args:
            run: run folder, or the folder that several runs on the same data share.

        Raises:
            InputError: the folder holds no complete ingest.
        """
        path = run.resolve() / METADATA
        if not path.exists():
            expected = "the folder of a `yt8m run` (of several experiments: the parent of their run folders)"
            raise InputError(f"--run is {str(run)!r}, which has no {METADATA}, expected {expected}")
        require_metadata(path.parent)
        config = tfx.orchestration.metadata.sqlite_metadata_connection_config(str(path))
        with metadata.Metadata(config) as store:
            executions = {
                name: _newest(store, run, name) for name in (Step.EXAMPLE_GEN, Step.DATASET_STATISTICS, Step.TRANSFORM)
            }
            outputs = {name: execution_lib.get_output_artifacts(store, node.id) for name, node in executions.items()}
            [examples] = outputs[Step.EXAMPLE_GEN]["examples"]
            for name in (Step.DATASET_STATISTICS, Step.TRANSFORM):
                [read] = execution_lib.get_input_artifacts(store, executions[name].id)["examples"]
                if read.id != examples.id:
                    raise InputError(f"--run is {str(run)!r}: {name} has not read its newest examples: run it again")
        ingest = executions[Step.EXAMPLE_GEN].custom_properties
        [statistics] = outputs[Step.DATASET_STATISTICS]["statistics"]
        [transformed], [graph] = (
            outputs[Step.TRANSFORM]["transformed_examples"],
            outputs[Step.TRANSFORM]["transform_graph"],
        )
        for artifact in (examples, statistics, transformed, graph):
            if not tf.io.gfile.exists(artifact.uri):
                raise InputError(f"--run is {str(run)!r}: {artifact.uri} is gone: run it again")
        described = Statistics.read(statistics.uri)
        return cls(
            data=ingest["data"].string_value,
            level=ingest["level"].string_value,
            seed=ingest["seed"].int_value,
            names=described.names,
            synthetic=described.synthetic,
            examples=examples,
            transformed=transformed,
            transform_graph=graph,
        )


def _newest(store: Any, run: Path, node: str) -> mlmd.proto.Execution:
    """The newest execution of a node that succeeded, perhaps from the cache."""
    context = store.store.get_context_by_type_and_name("node", f"{PIPELINE_NAME}.{node}")
    executions = store.store.get_executions_by_context(context.id) if context else []
    complete = [execution for execution in executions if execution_lib.is_execution_successful(execution)]
    if not complete:
        raise InputError(f"--run is {str(run)!r}: its {node} has never finished: run it again")
    return max(complete, key=lambda execution: int(execution.id))
