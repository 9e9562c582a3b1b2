"""TeacherPredictions on real artifacts: which probabilities it stores, beside which videos, and what it refuses."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.served_models import ArchitectureCard, ModelCard
from components.teacher_predictions.artifact import LEFT_OUT, SoftTargets, with_soft_targets
from components.teacher_predictions.component import TeacherPredictionsDriver, TeacherPredictionsExecutor
from components.trainer.export import export
from models.errors import InputError
from models.input.index import read_index
from models.input.indexed_batches import IndexedBatches
from models.input.soft_targets import read_soft_targets
from models.settings import ModelSettings
from models.video_classifier import build_video_classifier

ENCODERS: dict[str, dict[str, Any]] = {"average": {"name": "average"}, "netvlad": {"name": "netvlad", "clusters": 4}}


@pytest.fixture(scope="module")
def teacher(transformed_frames: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """`(encoder, bias=0.0)` -> the folder of a model with random weights, as the Trainer exports it."""

    @cache
    def build(encoder: str, bias: float = 0.0) -> str:
        settings = ModelSettings.model_validate({"encoder": ENCODERS[encoder]})
        model = build_video_classifier(settings, transformed_frames.classes, seed=0)
        model.weights[-1].assign(keras.ops.full_like(model.weights[-1], bias))
        architecture = ArchitectureCard.model_validate(settings.model_dump(mode="json"))
        card = ModelCard(level="frame", model_id=f"{encoder} {bias}", model=architecture)
        folder = str(tmp_path_factory.mktemp("teacher") / "7")
        names = tuple(str(label) for label in range(transformed_frames.classes))
        export(model, transformed_frames.graph.uri, names, card, folder)
        return folder

    return build


@pytest.fixture
def predict(transformed_frames: Any, artifact: Any, execute: Any) -> Callable[..., Any]:
    """`(*teachers)` -> the artifact with their soft targets."""

    def run(*teachers: str) -> Any:
        soft_targets = artifact(SoftTargets, "soft_targets")
        properties = {"teachers": json.dumps(teachers), "classes": transformed_frames.classes, "sources": ""}
        inputs, outputs = {"examples": transformed_frames.examples}, {"soft_targets": soft_targets}
        execute(TeacherPredictionsExecutor, inputs, outputs, properties)
        return soft_targets

    return run


def files_of(examples: Any) -> list[str]:
    return [str(path) for path in sorted(Path(examples.uri, "Split-train").iterdir())]


def mixed(soft_targets: Any, examples: Any, classes: int) -> tuple[Any, np.ndarray, np.ndarray]:
    """Inputs, labels and targets of all videos as a training on these examples reads them."""
    files = files_of(examples)
    index = read_index(files)
    soft = read_soft_targets(soft_targets.uri, files, index, classes, 0.5)
    [(inputs, targets)] = IndexedBatches(index, classes, 100, soft_targets=soft)
    [(_, labels)] = IndexedBatches(index, classes, 100)
    return inputs, labels.numpy(), targets.numpy()


def answers(folder: str, records: tf.Tensor) -> np.ndarray:
    return tf.saved_model.load(folder).signatures["packed_examples"](examples=records)["probabilities"].numpy()


def test_each_video_gets_the_mean_of_its_teachers_probabilities(
    teacher: Any, predict: Any, transformed_frames: Any
) -> None:
    teachers = [teacher("average"), teacher("netvlad")]
    soft_targets = predict(*teachers)
    records = next(iter(tf.data.TFRecordDataset(files_of(transformed_frames.examples)).batch(100)))
    expected = np.mean([answers(folder, records) for folder in teachers], axis=0)
    classes = transformed_frames.classes
    assert expected.std(axis=0).min() > 0.001  # videos differ
    # Students that read frames read ExampleGen's records, those that read means read Transform's.
    for examples in (transformed_frames.examples, transformed_frames.transformed):
        _, labels, targets = mixed(soft_targets, examples, classes)
        np.testing.assert_allclose(2 * targets - labels, expected, rtol=0, atol=2**-10)
    assert soft_targets.get_custom_property(LEFT_OUT) == pytest.approx(0, abs=1e-6)


def test_there_is_a_whole_file_for_each_file_of_the_training_split_and_nothing_else(
    teacher: Any, predict: Any, transformed_frames: Any
) -> None:
    soft_targets = predict(teacher("average"))
    names = [Path(file).name for file in files_of(transformed_frames.examples)]
    assert [path.name for path in Path(soft_targets.uri).iterdir()] == ["Split-train"]
    assert sorted(path.name for path in Path(soft_targets.uri, "Split-train").iterdir()) == names


def test_a_prediction_that_is_no_number_is_refused_with_its_teacher_and_file(
    teacher: Any, predict: Any, transformed_frames: Any
) -> None:
    broken = teacher("average", bias=float("nan"))
    with pytest.raises(InputError) as refusal:
        predict(broken)
    [file] = files_of(transformed_frames.examples)
    assert str(refusal.value) == f"training.teachers: {broken} has a prediction in {file} that is not a number"


def test_other_models_in_the_same_folders_predict_again(teacher: Any, tmp_path: Path) -> None:
    folder = tmp_path / "teacher"
    properties, resolved = {"teachers": json.dumps([str(folder)]), "classes": 5, "sources": ""}, []
    for encoder in ("average", "netvlad", "average"):
        folder.unlink(missing_ok=True)
        folder.symlink_to(teacher(encoder))
        resolved.append(TeacherPredictionsDriver(None).resolve({}, properties))
    first, second, third = resolved
    assert first == third == {**properties, "model_ids": '["average 0.0"]'} != second


def test_trainer_and_tuner_are_told_where_the_soft_targets_are(artifact: Any) -> None:
    made = artifact(SoftTargets, "soft_targets")
    properties = {"custom_config": json.dumps({"seed": 3}), "run_fn": "a.b"}
    told = with_soft_targets({"soft_targets": [made]}, properties)
    assert json.loads(told.pop("custom_config")) == {"seed": 3, "soft_targets": made.uri} and told == {"run_fn": "a.b"}
    assert with_soft_targets({}, properties) is properties
