"""Evaluator: TFX's, made to work without a champion and to say why it blessed a model or not."""

import json
from typing import Any

import tensorflow_model_analysis as tfma
from google.protobuf import json_format
from tfx import v1 as tfx
from tfx.components.evaluator import executor
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import artifact_utils, component_spec

from components.champion_resolver import VERSION
from components.evaluator.verdict import CANDIDATE, CHAMPION, judge
from models.features import NUM_FRAMES, Level


class EvaluatorSpec(component_spec.ComponentSpec):
    """Parameters, inputs and outputs of the Evaluator."""

    PARAMETERS = {
        "eval_config": component_spec.ExecutionParameter(type=tfma.EvalConfig),
        "example_splits": component_spec.ExecutionParameter(type=str),
        "min_f1": component_spec.ExecutionParameter(type=float),
        "min_change": component_spec.ExecutionParameter(type=float),
        "sources": component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {
        "examples": component_spec.ChannelParameter(type=tfx.types.standard_artifacts.Examples),
        "model": component_spec.ChannelParameter(type=tfx.types.standard_artifacts.Model),
        "baseline_model": component_spec.ChannelParameter(type=tfx.types.standard_artifacts.Model),
        "schema": component_spec.ChannelParameter(type=tfx.types.standard_artifacts.Schema),
    }
    OUTPUTS = {
        "evaluation": component_spec.ChannelParameter(type=tfx.types.standard_artifacts.ModelEvaluation),
        "blessing": component_spec.ChannelParameter(type=tfx.types.standard_artifacts.ModelBlessing),
    }


class EvaluatorExecutor(executor.Executor):
    """Runs TFX's executor, then writes the verdict beside the metrics."""

    def Do(
        self,
        input_dict: dict[str, list[tfx.dsl.Artifact]],
        output_dict: dict[str, list[tfx.dsl.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Evaluates the model, and the champion where there is one."""
        champion = artifact_utils.get_single_instance(input_dict["baseline_model"])
        version = champion.get_string_custom_property(VERSION)
        if not version:
            input_dict = {key: value for key, value in input_dict.items() if key != "baseline_model"}
        super().Do(input_dict, output_dict, exec_properties)
        evaluation = artifact_utils.get_single_uri(output_dict["evaluation"])
        verdict = judge(evaluation, exec_properties["min_f1"], exec_properties["min_change"], version)
        verdict.write(evaluation)
        blessing = artifact_utils.get_single_instance(output_dict["blessing"])
        blessing.set_string_custom_property("reasons", "; ".join(verdict.reasons))


class Evaluator(base_beam_component.BaseBeamComponent):
    """Scores a model on the test split and blesses it if it is good enough and no worse than the champion.

    Args:
        examples: ExampleGen's.
        model: the candidate.
        champion: ChampionResolver's model, which may be none.
        schema: of the examples.
        level: of the examples; frame-level ones are sliced by number of frames too.
        min_f1: lowest micro F1 of a blessed model.
        min_change: smallest difference to the champion's micro F1.
        sources: fingerprint of the code, so that an edit runs the step again.
    """

    SPEC_CLASS = EvaluatorSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(EvaluatorExecutor)

    def __init__(
        self,
        examples: tfx.types.BaseChannel,
        model: tfx.types.BaseChannel,
        champion: tfx.types.BaseChannel,
        schema: tfx.types.BaseChannel,
        level: Level,
        min_f1: float,
        min_change: float,
        sources: str,
    ):
        spec = EvaluatorSpec(
            examples=examples,
            model=model,
            baseline_model=champion,
            schema=schema,
            eval_config=_eval_config(level, min_f1, min_change),
            example_splits=json.dumps(["test"]),
            min_f1=min_f1,
            min_change=min_change,
            sources=sources,
            evaluation=tfx.dsl.Channel(type=tfx.types.standard_artifacts.ModelEvaluation),
            blessing=tfx.dsl.Channel(type=tfx.types.standard_artifacts.ModelBlessing),
        )
        super().__init__(spec=spec)


def _eval_config(level: Level, min_f1: float, min_change: float) -> tfma.EvalConfig:
    model = {
        "signature_name": "packed_examples",
        "preprocessing_function_names": ["transform_features"],
        "label_key": "labels",
    }
    slices = ["num_labels", *([NUM_FRAMES] if level == "frame" else [])]
    module = "components.evaluator.metrics"
    threshold = {
        "value_threshold": {"lower_bound": min_f1},
        "change_threshold": {"direction": "HIGHER_IS_BETTER", "absolute": min_change},
    }
    return json_format.ParseDict(
        {
            "model_specs": [{"name": CANDIDATE, **model}, {"name": CHAMPION, "is_baseline": True, **model}],
            "slicing_specs": [{}, *({"feature_keys": [name]} for name in slices)],
            "metrics_specs": [
                {
                    "metrics": [
                        {"class_name": "ExampleCount"},
                        {"class_name": "F1", "module": module, "threshold": threshold},
                        {"class_name": "Precision", "module": module},
                        {"class_name": "Recall", "module": module},
                    ]
                }
            ],
        },
        tfma.EvalConfig(),
    )
