"""The TFX component: predictions of the training split by pushed models, on any Beam runner."""

import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow as tf
from apache_beam.io.filesystems import FileSystems
from apache_beam.utils.shared import Shared
from tfx import v1 as tfx
from tfx.dsl.components.base import base_beam_component, base_beam_executor, executor_spec
from tfx.types import artifact_utils, component_spec

from components.example_gen.splits import SPLITS
from components.publishing import Attempt, scratch_folder
from components.resolving_driver import ResolvingDriver
from components.served_models import load_saved_model
from components.teacher_predictions.artifact import LEFT_OUT, SOFT_TARGETS, SoftTargets
from components.trainer.members import PACKED_EXAMPLES, model_ids
from models.errors import InputError
from models.input.soft_targets import SoftTargetsWriter, read_trailer, soft_targets_path

# Padded and dequantized frames of 128 videos take 180 MB.
BATCH_SIZE = 128


class TeacherPredictionsSpec(component_spec.ComponentSpec):
    """Parameters, inputs and outputs of TeacherPredictions."""

    PARAMETERS = {
        "teachers": component_spec.ExecutionParameter(type=str),
        "classes": component_spec.ExecutionParameter(type=int),
        "sources": component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {"examples": component_spec.ChannelParameter(type=tfx.types.standard_artifacts.Examples)}
    OUTPUTS = {SOFT_TARGETS: component_spec.ChannelParameter(type=SoftTargets)}


class TeacherPredictionsDriver(ResolvingDriver):
    """Looks up which models lie in the teachers' folders: other ones make them predict again."""

    def resolve(self, input_dict: dict[str, list[tfx.dsl.Artifact]], exec_properties: dict[str, Any]) -> dict[str, Any]:
        """Adds the ids of the models."""
        return {**exec_properties, "model_ids": json.dumps(model_ids(json.loads(exec_properties["teachers"])))}


class TeacherPredictionsExecutor(base_beam_executor.BaseBeamExecutor):
    """Predicts the videos in the workers that read them, a file at a time; nothing leaves the workers."""

    def Do(
        self,
        input_dict: dict[str, list[tfx.dsl.Artifact]],
        output_dict: dict[str, list[tfx.dsl.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes a file of soft targets for each file of the training split.

        Raises:
            InputError: a prediction is not a number.
        """
        examples = artifact_utils.get_single_uri(input_dict["examples"])
        soft_targets = artifact_utils.get_single_instance(output_dict[SOFT_TARGETS])
        teachers, classes = json.loads(exec_properties["teachers"]), exec_properties["classes"]
        records = [file.path for file in FileSystems.match([f"{examples}/Split-{SPLITS[0]}/*"])[0].metadata_list]
        files = [(path, soft_targets_path(soft_targets.uri, path)) for path in sorted(records)]
        with scratch_folder(soft_targets.uri) as scratch, self._make_beam_pipeline() as pipeline:
            pipeline | beam.Create(files) | beam.Reshuffle() | beam.ParDo(_Predict(teachers, classes, scratch))
        total = left_out = 0.0
        for source, target in files:
            trailer = read_trailer(target)
            if math.isnan(trailer.total):
                models = " or ".join(teachers)
                raise InputError(f"training.teachers: {models} has a prediction in {source} that is not a number")
            total, left_out = total + trailer.total, left_out + trailer.left_out
        soft_targets.set_float_custom_property(LEFT_OUT, left_out / total if total else 0.0)


class TeacherPredictions(base_beam_component.BaseBeamComponent):
    """The mean probabilities by pushed models of the videos of the training split: soft targets.

    G. Hinton, O. Vinyals, J. Dean: "Distilling the Knowledge in a Neural Network" (arXiv:1503.02531), with the average
    of an ensemble as in section 3; without a temperature, as labels are not exclusive. In the YouTube-8M challenge of
    2018 it moved large ensembles into models of limited size: P. Ostyakov et al., "Label Denoising with Large Ensembles
    of Heterogeneous Neural Networks" (arXiv:1809.04403).

    Args:
        examples: ExampleGen's.
        teachers: folders of the models' versions, of the level and labels of the examples.
        classes: number of labels.
        sources: fingerprint of the code, so that an edit runs the step again.
    """

    SPEC_CLASS = TeacherPredictionsSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(TeacherPredictionsExecutor)
    DRIVER_CLASS = TeacherPredictionsDriver

    def __init__(self, examples: tfx.types.BaseChannel, teachers: Sequence[str], classes: int, sources: str):
        spec = TeacherPredictionsSpec(
            examples=examples,
            teachers=json.dumps(list(teachers)),
            classes=classes,
            sources=sources,
            soft_targets=tfx.dsl.Channel(type=SoftTargets),
        )
        super().__init__(spec=spec)


class _Teachers:
    """The models, loaded."""

    def __init__(self, folders: Sequence[str]) -> None:
        self._models = [load_saved_model(folder) for folder in folders]

    def probabilities(self, examples: tf.Tensor) -> np.ndarray:
        """The mean of the models' probabilities: float32 [B, C]."""
        answers = [model.signatures[PACKED_EXAMPLES](examples=examples)["probabilities"] for model in self._models]
        return np.mean([answer.numpy() for answer in answers], axis=0)


class _Predict(beam.DoFn):
    """(file of records, file of their soft targets) -> nothing; the models are shared by the threads of a process."""

    def __init__(self, teachers: Sequence[str], classes: int, scratch: str):
        self.teachers, self.classes, self.scratch = teachers, classes, scratch
        self.shared = Shared()

    def setup(self) -> None:
        self.models = self.shared.acquire(lambda: _Teachers(self.teachers))

    def process(self, source_and_target: tuple[str, str]) -> Iterator[None]:
        source, target = source_and_target
        with Attempt(self.scratch) as attempt:
            writer = SoftTargetsWriter(attempt.open(target), self.classes)
            for examples in tf.data.TFRecordDataset(source).batch(BATCH_SIZE):
                writer.write(self.models.probabilities(examples))
            writer.finish()
        return iter(())
