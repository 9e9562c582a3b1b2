"""Evaluator: TFX's, with all official metrics, made to work without a champion and to say why it decided so."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow_model_analysis as tfma
from apache_beam.io.filesystems import FileSystems
from google.protobuf import json_format
from tfx import v1 as tfx
from tfx.components.evaluator import executor
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import artifact_utils, component_spec
from tfx.utils import path_utils

from components.champion_resolver import VERSION
from components.dataset_statistics.component import DataStatistics
from components.dataset_statistics.statistics import Statistics
from components.evaluator.label_groups import label_groups
from components.evaluator.page import evaluation_page
from components.evaluator.requirements import Requirement, parse_requirements, tfma_thresholds
from components.evaluator.verdict import CANDIDATE, CHAMPION, judge
from components.example_gen.splits import SPLITS
from components.served_models import read_model_card
from models.features import NUM_FRAMES, Level
from models.metrics.video_metrics import THRESHOLD

PAGE = "evaluation.html"


class EvaluatorSpec(component_spec.ComponentSpec):
    """Parameters, inputs and outputs of the Evaluator."""

    PARAMETERS = {
        "example_splits": component_spec.ExecutionParameter(type=str),
        "thresholds": component_spec.ExecutionParameter(type=str),
        "slices": component_spec.ExecutionParameter(type=str),
        "verticals": component_spec.ExecutionParameter(type=str),
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


class EvaluatorExecutor(executor.Executor):
    """Runs TFX's executor, then writes the verdict and a page beside the metrics."""

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
        models = {CANDIDATE: candidate} | ({CHAMPION: champion} if version else {})
        slices = json.loads(exec_properties["slices"])
        requirements = parse_requirements(json.loads(exec_properties["thresholds"]))
        frequency = statistics.splits[SPLITS[0]].label_frequency
        config = eval_config(
            {name: threshold_of(model.uri) for name, model in models.items()},
            len(statistics.names),
            statistics.level,
            requirements,
            slices,
            label_groups(frequency, statistics.names, json.loads(exec_properties["verticals"])),
        )
        inputs = {key: input_dict[key] for key in ("examples", "model")}
        if version:
            inputs["baseline_model"] = input_dict["baseline_model"]
        properties = {
            "eval_config": json_format.MessageToJson(config),
            "example_splits": exec_properties["example_splits"],
        }
        super().Do(inputs, output_dict, properties)
        evaluation = artifact_utils.get_single_uri(output_dict["evaluation"])
        verdict = judge(evaluation, requirements, slices, version)
        verdict.write(evaluation)
        page = evaluation_page(
            verdict,
            statistics.names,
            subject=read_model_card(path_utils.serving_model_dir(candidate.uri)).get("experiment", ""),
            synthetic=statistics.synthetic,
            navigation={},
        )
        with FileSystems.create(f"{evaluation}/{PAGE}") as file:
            file.write(page.encode())
        blessing = artifact_utils.get_single_instance(output_dict["blessing"])
        blessing.set_string_custom_property("reasons", "; ".join(verdict.reasons))


class Evaluator(base_beam_component.BaseBeamComponent):
    """Scores a model on the test split and blesses it if it is good enough and no worse than the champion.

    Args:
        examples: ExampleGen's.
        model: the candidate.
        champion: ChampionResolver's model, which may be none.
        statistics: DatasetStatistics', which knows names and frequencies of the labels.
        thresholds: bounds by metric and slice, see `parse_requirements`.
        slices: features of the examples whose values make slices, beside the number of labels and of frames.
        verticals: the top-level vertical of each label; empty if there are none.
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
        thresholds: Mapping[str, Mapping[str, float | None]],
        slices: Sequence[str],
        verticals: Sequence[str],
        sources: str,
    ):
        spec = EvaluatorSpec(
            examples=examples,
            model=model,
            baseline_model=champion,
            statistics=statistics,
            example_splits=json.dumps([SPLITS[2]]),
            thresholds=json.dumps(thresholds),
            slices=json.dumps(list(slices)),
            verticals=json.dumps(list(verticals)),
            sources=sources,
            evaluation=tfx.dsl.Channel(type=tfx.types.standard_artifacts.ModelEvaluation),
            blessing=tfx.dsl.Channel(type=tfx.types.standard_artifacts.ModelBlessing),
        )
        super().__init__(spec=spec)


def threshold_of(model_uri: str) -> float:
    """The threshold of the best F1 on the validation split; 0.5 for models that were exported without."""
    return read_model_card(path_utils.serving_model_dir(model_uri)).get("threshold", THRESHOLD)


def eval_config(
    thresholds: Mapping[str, float],
    classes: int,
    level: Level,
    requirements: list[Requirement],
    slices: Sequence[str],
    groups: Mapping[str, Sequence[int]],
) -> tfma.EvalConfig:
    """What TFMA is to compute.

    Args:
        thresholds: of `f1_at_threshold` by model, the candidate and perhaps the champion.
        classes: number of labels.
        level: of the examples; frame-level ones are sliced by number of frames too.
        requirements: what the candidate must reach.
        slices: more features to slice by.
        groups: label ids by the name of their group.
    """
    model = {
        "signature_name": "packed_examples",
        "preprocessing_function_names": ["transform_features"],
        "label_key": "labels",
    }
    features = dict.fromkeys(["num_labels", *([NUM_FRAMES] if level == "frame" else []), *slices])
    return json_format.ParseDict(
        {
            "model_specs": [
                {"name": CANDIDATE, **model},
                *([{"name": CHAMPION, "is_baseline": True, **model}] if CHAMPION in thresholds else []),
            ],
            "slicing_specs": [{}, *({"feature_keys": [name]} for name in features)],
            "metrics_specs": [
                {
                    "model_names": [name],
                    "metrics": [
                        {"class_name": "ExampleCount"},
                        {
                            "class_name": "VideoScores",
                            "module": "components.evaluator.metrics",
                            "config": json.dumps({"classes": classes, "threshold": threshold, "groups": groups}),
                        },
                    ],
                    **(tfma_thresholds(requirements) if name == CANDIDATE else {}),
                }
                for name, threshold in thresholds.items()
            ],
        },
        tfma.EvalConfig(),
    )
