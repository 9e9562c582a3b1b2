"""Trainer: TFX's, which also reads soft targets."""

from collections.abc import Mapping
from typing import Any

from tfx import v1 as tfx
from tfx.components.trainer import executor
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_component_specs
from tfx.utils import json_utils

from components.teacher_predictions.artifact import SOFT_TARGETS, SoftTargets, with_soft_targets

RUN_FN = "components.trainer.trainer.run_fn"


class TrainerSpec(standard_component_specs.TrainerSpec):
    """TFX's, with soft targets."""

    INPUTS = {
        **standard_component_specs.TrainerSpec.INPUTS,
        SOFT_TARGETS: component_spec.ChannelParameter(type=SoftTargets, optional=True),
    }


class TrainerExecutor(executor.GenericExecutor):
    """TFX's executor, which tells the task where the soft targets are."""

    def Do(
        self,
        input_dict: dict[str, list[tfx.dsl.Artifact]],
        output_dict: dict[str, list[tfx.dsl.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Trains and exports the model."""
        super().Do(input_dict, output_dict, with_soft_targets(input_dict, exec_properties))


class Trainer(base_component.BaseComponent):
    """Trains and exports a model.

    Args:
        inputs: `examples`, `transform_graph`, `schema`, `train_args` and `eval_args` of TFX's Trainer.
        soft_targets: TeacherPredictions', of the training split of the examples; None: labels alone.
        hyperparameters: of a search; None: those of the task.
        custom_config: a TrainingTask's.
    """

    SPEC_CLASS = TrainerSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(TrainerExecutor)

    def __init__(
        self,
        inputs: Mapping[str, Any],
        soft_targets: tfx.types.BaseChannel | None,
        hyperparameters: tfx.types.BaseChannel | None,
        custom_config: Mapping[str, Any],
    ):
        spec = TrainerSpec(
            **inputs,
            soft_targets=soft_targets,
            hyperparameters=hyperparameters,
            run_fn=RUN_FN,
            custom_config=json_utils.dumps(custom_config),
            model=tfx.dsl.Channel(type=tfx.types.standard_artifacts.Model),
            model_run=tfx.dsl.Channel(type=tfx.types.standard_artifacts.ModelRun),
        )
        super().__init__(spec=spec)
