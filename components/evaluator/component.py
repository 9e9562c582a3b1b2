"""Evaluator: all official metrics with TFMA, with or without a champion, and a verdict with its reasons."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from tfx import v1 as tfx
from tfx.components.evaluator import constants
from tfx.dsl.components.base import base_beam_component, base_beam_executor, executor_spec
from tfx.types import artifact_utils, component_spec
from tfx.utils import io_utils, path_utils

from components.champion import VERSION
from components.dataset_statistics.artifact import DataStatistics
from components.dataset_statistics.statistics import Statistics
from components.evaluator.analysis import analyze, eval_config
from components.evaluator.constant_prediction import ConstantPrediction
from components.evaluator.label_groups import label_groups
from components.evaluator.page import evaluation_page
from components.evaluator.rated_segments import WriteRatedSegments
from components.evaluator.requirements import Requirement
from components.evaluator.verdict import CANDIDATE, CHAMPION, Verdict, judge
from components.example_gen.splits import SPLITS
from components.publishing import scratch_folder
from components.served_models import ModelCard
from models.errors import InputError
from models.metrics.outcomes import THRESHOLD

PAGE = "evaluation.html"


class EvaluatorSpec(component_spec.ComponentSpec):
    """Parameters, inputs and outputs of the Evaluator."""

    PARAMETERS = {
        "example_splits": component_spec.ExecutionParameter(type=str),
        "requirements": component_spec.ExecutionParameter(type=str),
        "floor": component_spec.ExecutionParameter(type=int),
        "slices": component_spec.ExecutionParameter(type=str),
        "verticals": component_spec.ExecutionParameter(type=str),
        "rated": component_spec.ExecutionParameter(type=int),
        "sources": component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {
        "examples": component_spec.ChannelParameter(type=tfx.types.standard_artifacts.Examples),
        "model": component_spec.ChannelParameter(type=tfx.types.standard_artifacts.Model),
        "baseline_model": component_spec.ChannelParameter(type=tfx.types.standard_artifacts.Model),
        "statistics": component_spec.ChannelParameter(type=DataStatistics),
    }
    OUTPUTS = {
        "evaluation": component_spec.ChannelParameter(type=tfx.types.standard_artifacts.ModelEvaluation),
        "blessing": component_spec.ChannelParameter(type=tfx.types.standard_artifacts.ModelBlessing),
    }


class EvaluatorExecutor(base_beam_executor.BaseBeamExecutor):
    """Evaluates with TFMA, then writes the verdict, a page beside the metrics and TFX's blessing."""

    def Do(
        self,
        input_dict: dict[str, list[tfx.dsl.Artifact]],
        output_dict: dict[str, list[tfx.dsl.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Evaluates the model, and the champion where there is one."""
        statistics = Statistics.read(artifact_utils.get_single_uri(input_dict["statistics"]))
        candidate = artifact_utils.get_single_instance(input_dict["model"])
        champion = artifact_utils.get_single_instance(input_dict["baseline_model"])
        version = champion.get_string_custom_property(VERSION)
        folders = {
            name: path_utils.serving_model_dir(model.uri)
            for name, model in ({CANDIDATE: candidate} | ({CHAMPION: champion} if version else {})).items()
        }
        slices, rated = json.loads(exec_properties["slices"]), bool(exec_properties["rated"])
        requirements = [Requirement(**bounds) for bounds in json.loads(exec_properties["requirements"])]
        frequency = statistics.splits[SPLITS[0]].label_frequency
        config = eval_config(
            {name: threshold_of(folder) for name, folder in folders.items()},
            len(statistics.names),
            statistics.level,
            requirements,
            slices,
            label_groups(frequency, statistics.names, json.loads(exec_properties["verticals"])),
            rated,
        )
        patterns = [
            io_utils.all_files_pattern(uri)
            for split in json.loads(exec_properties["example_splits"])
            for uri in artifact_utils.get_split_uris(input_dict["examples"], split)
        ]
        evaluation = artifact_utils.get_single_uri(output_dict["evaluation"])
        with scratch_folder(evaluation) as scratch:
            if rated:
                patterns = [self._write_rated_segments(patterns, scratch)]
            with self._make_beam_pipeline() as pipeline:
                analyze(pipeline, patterns, folders, config, evaluation, rated)
        # How often labels of videos occur says nothing about segments.
        floor = ConstantPrediction.of(statistics) if exec_properties["floor"] and not version and not rated else None
        verdict = judge(evaluation, requirements, slices, version, floor)
        verdict.write(evaluation)
        page = evaluation_page(
            verdict,
            statistics.names,
            subject=ModelCard.read(folders[CANDIDATE]).experiment,
            synthetic=statistics.synthetic,
            navigation={},
        )
        with FileSystems.create(f"{evaluation}/{PAGE}") as file:
            file.write(page.encode())
        _bless(artifact_utils.get_single_instance(output_dict["blessing"]), candidate, verdict)

    def _write_rated_segments(self, patterns: list[str], scratch: str) -> str:
        """Writes the rated segments of the test split; returns the pattern of their files."""
        files = [file.path for match in FileSystems.match(patterns) for file in match.metadata_list]
        with self._make_beam_pipeline() as pipeline:
            (
                pipeline
                | beam.Create(list(enumerate(files)))
                | beam.Reshuffle()
                | beam.ParDo(WriteRatedSegments(f"{scratch}/rated", scratch))
            )
        pattern = f"{scratch}/rated/*"
        if not FileSystems.match([pattern])[0].metadata_list:
            raise InputError("test data: no rated segment, level: segment needs ratings")
        return pattern


def _bless(blessing: tfx.dsl.Artifact, candidate: tfx.dsl.Artifact, verdict: Verdict) -> None:
    """Writes a verdict as TFX's Evaluator does, and its reasons."""
    blessed, not_blessed = constants.BLESSED_FILE_NAME, constants.NOT_BLESSED_FILE_NAME
    io_utils.write_string_file(f"{blessing.uri}/{blessed if verdict.blessed else not_blessed}", "")
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_BLESSED_KEY, int(verdict.blessed))
    blessing.set_string_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_URI_KEY, candidate.uri)
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY, candidate.id)
    blessing.set_string_custom_property("reasons", "; ".join(verdict.reasons))


class Evaluator(base_beam_component.BaseBeamComponent):
    """Scores a model on the test split and blesses it if it is good enough and no worse than the champion.

    Args:
        examples: ExampleGen's.
        model: the candidate.
        champion: ChampionResolver's model, which may be empty.
        statistics: DatasetStatistics', with names and frequencies of the labels.
        requirements: what it must reach.
        floor: whether a first model must score higher than the constant prediction.
        slices: features of the examples whose values make slices, beside the numbers of labels and of frames.
        verticals: the top-level vertical of each label; empty if there are none.
        rated: whether the rated segments of the test split are scored, instead of its videos.
        sources: fingerprint of the code, so that an edit runs the step again.
    """

    SPEC_CLASS = EvaluatorSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(EvaluatorExecutor)

    def __init__(
        self,
        examples: tfx.types.BaseChannel,
        model: tfx.types.BaseChannel,
        champion: tfx.types.BaseChannel,
        statistics: tfx.types.BaseChannel,
        requirements: Sequence[Requirement],
        floor: bool,
        slices: Sequence[str],
        verticals: Sequence[str],
        rated: bool,
        sources: str,
    ):
        spec = EvaluatorSpec(
            examples=examples,
            model=model,
            baseline_model=champion,
            statistics=statistics,
            example_splits=json.dumps([SPLITS[2]]),
            requirements=json.dumps([asdict(requirement) for requirement in requirements]),
            floor=int(floor),
            slices=json.dumps(list(slices)),
            verticals=json.dumps(list(verticals)),
            rated=int(rated),
            sources=sources,
            evaluation=tfx.dsl.Channel(type=tfx.types.standard_artifacts.ModelEvaluation),
            blessing=tfx.dsl.Channel(type=tfx.types.standard_artifacts.ModelBlessing),
        )
        super().__init__(spec=spec)


def threshold_of(folder: str) -> float:
    """The threshold of the best F1 on the validation split; 0.5 for models exported without one."""
    threshold = ModelCard.read(folder).threshold
    return THRESHOLD if threshold is None else threshold
