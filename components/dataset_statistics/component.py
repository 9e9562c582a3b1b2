"""The TFX component: one pass over ExampleGen's splits, on any Beam runner."""

import json
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import apache_beam as beam
from pydantic import TypeAdapter
from tfx import v1 as tfx
from tfx.dsl.components.base import base_beam_component, base_beam_executor, executor_spec
from tfx.types import artifact_utils, component_spec

from components.dataset_statistics.artifact import DataStatistics
from components.dataset_statistics.counts import SplitCounts
from components.dataset_statistics.page import write_page_and_figures
from components.dataset_statistics.statistics import Statistics, describe
from components.example_gen.component import Quarantine, read_summary
from components.example_gen.synthetic import SyntheticData
from models.features import Level


class DatasetStatisticsSpec(component_spec.ComponentSpec):
    """Parameters, inputs and outputs of DatasetStatistics."""

    PARAMETERS = {
        "names": component_spec.ExecutionParameter(type=str),
        "level": component_spec.ExecutionParameter(type=str),
        "data": component_spec.ExecutionParameter(type=str),
        "synthetic": component_spec.ExecutionParameter(type=str),
        "sources": component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {
        "examples": component_spec.ChannelParameter(type=tfx.types.standard_artifacts.Examples),
        "quarantine": component_spec.ChannelParameter(type=Quarantine),
    }
    OUTPUTS = {"statistics": component_spec.ChannelParameter(type=DataStatistics)}


class DatasetStatisticsExecutor(base_beam_executor.BaseBeamExecutor):
    """Counts the videos in the workers that read them; only counts leave the workers."""

    def Do(
        self,
        input_dict: dict[str, list[tfx.dsl.Artifact]],
        output_dict: dict[str, list[tfx.dsl.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the statistics, the page and the figures."""
        examples = artifact_utils.get_single_instance(input_dict["examples"])
        quarantine = artifact_utils.get_single_uri(input_dict["quarantine"])
        uri = artifact_utils.get_single_uri(output_dict["statistics"])
        names, level = json.loads(exec_properties["names"]), exec_properties["level"]
        describe_counts = partial(
            describe,
            names=names,
            data=exec_properties["data"],
            level=level,
            synthetic=TypeAdapter(SyntheticData | None).validate_json(exec_properties["synthetic"]),
            ingest=read_summary(quarantine),
            bad_records=quarantine,
            bad_ratings=quarantine,
        )
        splits = artifact_utils.decode_split_names(examples.split_names)
        with self._make_beam_pipeline() as pipeline:
            counts = (
                pipeline
                | beam.Create([f"{examples.uri}/Split-{split}/*" for split in splits])
                | beam.io.ReadAllFromTFRecord(with_filename=True)
                | beam.MapTuple(lambda path, example: (path.split("/")[-2].removeprefix("Split-"), example))
                | beam.CombinePerKey(CountVideos(level, len(names)))
            )
            (
                pipeline
                | "Results" >> beam.Create([uri])
                | beam.Map(_write, beam.pvalue.AsDict(counts), splits, describe_counts)
            )
        write_page_and_figures(Statistics.read(uri), uri)


class CountVideos(beam.CombineFn):
    """Packed tf.Examples -> SplitCounts. Runners combine where they read: counts are shuffled, records are not."""

    def __init__(self, level: Level, classes: int):
        self.level, self.classes = level, classes

    def create_accumulator(self) -> SplitCounts:
        """Counts of no videos."""
        return SplitCounts(self.level, self.classes)

    def add_input(self, counts: SplitCounts, example: bytes) -> SplitCounts:
        """Counts one video."""
        counts.add(example)
        return counts

    def merge_accumulators(self, accumulators: Iterable[SplitCounts]) -> SplitCounts:
        """The sum of all counts."""
        merged = self.create_accumulator()
        for counts in accumulators:
            merged.merge(counts)
        return merged

    def extract_output(self, counts: SplitCounts) -> SplitCounts:
        """The counts themselves."""
        return counts


class DatasetStatistics(base_beam_component.BaseBeamComponent):
    """The thesis' tables 2 and 3 and figures 3 to 8 for the data of a run, and the agreement of its splits.

    Args:
        examples: ExampleGen's.
        quarantine: ExampleGen's, with counts of rejected, changed and repeated records.
        names: of the labels, in the order of their ids.
        level: of the examples.
        data: pattern of the raw shards.
        synthetic: description of synthetic shards; None for others.
        sources: fingerprint of the code, so that an edit runs the step again.
    """

    SPEC_CLASS = DatasetStatisticsSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(DatasetStatisticsExecutor)

    def __init__(
        self,
        examples: tfx.types.BaseChannel,
        quarantine: tfx.types.BaseChannel,
        names: Sequence[str],
        level: Level,
        data: str,
        synthetic: SyntheticData | None,
        sources: str,
    ):
        spec = DatasetStatisticsSpec(
            examples=examples,
            quarantine=quarantine,
            names=json.dumps(list(names)),
            level=level,
            data=data,
            synthetic=synthetic.model_dump_json() if synthetic else "null",
            sources=sources,
            statistics=tfx.dsl.Channel(type=DataStatistics),
        )
        super().__init__(spec=spec)


def _write(
    uri: str,
    counts: dict[str, SplitCounts],
    splits: list[str],
    describe_counts: Callable[[dict[str, SplitCounts]], Statistics],
) -> None:
    describe_counts({split: counts[split] for split in splits}).write(uri)
