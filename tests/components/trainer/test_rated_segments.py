"""Rated segments from ExampleGen to the Evaluator: what is read, the loss, and scores against NumPy."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tfx import v1 as tfx

from components.champion import VERSION
from components.dataset_statistics.artifact import DataStatistics
from components.dataset_statistics.component import DatasetStatisticsExecutor
from components.evaluator.component import EvaluatorExecutor
from components.evaluator.verdict import Verdict
from components.served_models import ModelCard
from components.trainer.data import training_data, training_shares
from components.trainer.task import TrainingTask
from components.trainer.trainer import read_training_log, run_fn
from models.encoders.average import mean_of_frames
from models.errors import InputError
from models.settings import ModelSettings
from models.training_settings import TrainingSettings

CLASSES, FRAMES = 5, 23


def ratings_of(number):
    """Ratings (start, label, score) of a video: three segments, two ratings in the last one, which begins at 18."""
    rng = np.random.default_rng(number)
    first, second = rng.permutation(CLASSES)[:2].tolist()
    starts = [0, 7, 18, 18]
    return list(zip(starts, [first, second, first, second], rng.integers(0, 2, 4).tolist(), strict=True))


@pytest.fixture(scope="module")
def steps(steps_in, tmp_path_factory):
    return steps_in(tmp_path_factory.mktemp("segments"))


@pytest.fixture(scope="module")
def data(steps, write_shard, frame_record):
    """Examples, quarantine, Transform's graph and statistics of forty videos, every fourth without ratings."""
    records = []
    for number in range(40):
        codes = np.random.default_rng(number).integers(0, 256, (FRAMES, 1152), np.uint8)
        own = {}
        if number % 4:
            starts, labels, scores = zip(*ratings_of(number), strict=True)
            own = {"segment_start_times": starts, "segment_end_times": [start + 5 for start in starts]}
            own |= {"segment_labels": labels, "segment_scores": [float(score) for score in scores]}
        records.append(frame_record(f"{number:04d}", [0], rgb=codes[:, :1024], audio=codes[:, 1024:], **own))
    write_shard(steps.folder / "data" / "a.tfrecord", records)
    examples, quarantine = steps.ingest(steps.folder / "data", classes=CLASSES)
    graph, _ = steps.transform(examples, "frame", CLASSES)
    statistics = steps.artifact(DataStatistics, "statistics")
    names = json.dumps([f"label {label}" for label in range(CLASSES)])
    properties = {"names": names, "level": "frame", "data": "", "synthetic": "null", "sources": ""}
    inputs = {"examples": examples, "quarantine": quarantine}
    steps.execute(DatasetStatisticsExecutor, inputs, {"statistics": statistics}, properties)
    return {"examples": examples, "graph": graph, "statistics": statistics}


def segments_of(examples, split):
    """Of a split's rated segments, in the order of the records: ids, frames, and 1, 0 or -1 for each label."""
    rows = {}
    for file in sorted(Path(examples.uri, f"Split-{split}").glob("*")):
        for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
            number = int(tf.train.Example.FromString(record).features.feature["id"].bytes_list.value[0])
            for start, label, score in ratings_of(number) if number % 4 else ():
                row = rows.setdefault((number, start), np.full(CLASSES, -1.0))
                row[label] = score
    codes = {number: np.random.default_rng(number).integers(0, 256, (FRAMES, 1152), np.uint8) for number, _ in rows}
    frames = np.array([codes[number][start : start + 5] for number, start in rows])
    return list(rows), frames, np.array(list(rows.values()))


def task_of(folder, encoder, **settings):
    return TrainingTask(
        experiment="segments",
        data="",
        level="segment",
        model=ModelSettings(encoder=encoder, **settings),
        training=TrainingSettings(learning_rate=1e-12, batch_size=8, max_epochs=1),
        names=tuple(f"label {label}" for label in range(CLASSES)),
        seed=0,
        state_dir=str(folder / "checkpoints"),
        log_dir=str(folder / "logs"),
        sources="",
    )


def fn_args_of(examples, graph, task, folder):
    return tfx.components.FnArgs(
        train_files=[f"{examples.uri}/Split-train/*"],
        eval_files=[f"{examples.uri}/Split-validation/*"],
        transform_graph_path=graph.uri,
        serving_model_dir=str(folder / "Format-Serving"),
        custom_config=task.custom_config(),
    )


@pytest.mark.parametrize("encoder", [{"name": "netvlad", "clusters": 4}, {"name": "average"}])
def test_a_batch_holds_segments_with_their_ratings(data, tmp_path, encoder):
    task = task_of(tmp_path, encoder)
    fn_args = fn_args_of(data["examples"], data["graph"], task, tmp_path)
    epoch, validation = training_data(fn_args, task, task.model, task.training)
    _, frames, ratings = segments_of(data["examples"], "validation")
    inputs, targets = zip(*validation, strict=True)
    np.testing.assert_array_equal(np.concatenate(targets), ratings)
    if encoder["name"] == "average":
        mean = mean_of_frames(tf.constant(frames), tf.fill([len(frames)], 5))
        np.testing.assert_array_equal(np.concatenate([batch["mean"] for batch in inputs]), mean)
    else:
        np.testing.assert_array_equal(np.concatenate([batch["frames"] for batch in inputs]), frames)
        assert set(np.concatenate([batch["num_frames"] for batch in inputs]).tolist()) == {5}
    _, _, of_training = segments_of(data["examples"], "train")
    shuffled = np.concatenate([targets.numpy().copy() for _, targets in epoch(3)])
    assert sorted(shuffled.tolist()) == sorted(of_training.tolist()) and shuffled.tolist() != of_training.tolist()
    known, positive = (of_training >= 0).sum(axis=0), (of_training > 0).sum(axis=0)
    shares = (positive + positive.sum() / known.sum()) / (known + 1)
    np.testing.assert_allclose(training_shares(fn_args, CLASSES, rated=True), shares)


def test_data_without_ratings_are_refused(transformed_frames, tmp_path):
    task = task_of(tmp_path, {"name": "average"})
    fn_args = fn_args_of(transformed_frames.examples, transformed_frames.graph, task, tmp_path)
    with pytest.raises(InputError, match=r"^training data: no rated segment in \d+ videos, level: segment needs rat"):
        training_data(fn_args, task, task.model, task.training)


@pytest.fixture(scope="module")
def trained(data, steps):
    """The Model artifact of a network whose weights are not changed by the training."""
    model = steps.artifact(tfx.types.standard_artifacts.Model, "model")
    task = task_of(steps.folder, {"name": "netvlad", "clusters": 4}, output_bias="prior")
    run_fn(fn_args_of(data["examples"], data["graph"], task, Path(model.uri)))
    return model


@pytest.fixture(scope="module")
def probabilities(trained):
    signature = tf.saved_model.load(f"{trained.uri}/Format-Serving").signatures["raw_tensors"]

    def of(frames):
        answer = signature(frames=tf.constant(frames), num_frames=tf.fill([len(frames)], 5))
        return answer["probabilities"].numpy().astype(np.float64)

    return of


def test_loss_and_f1_are_those_of_the_rated_pairs(data, trained, probabilities):
    _, frames, ratings = segments_of(data["examples"], "validation")
    p, known = probabilities(frames), ratings >= 0
    losses = -np.log(np.where(ratings > 0, p, 1 - p))
    [epoch] = read_training_log(trained.uri).epochs
    assert epoch.val_loss == pytest.approx(np.mean((losses * known).sum(axis=1) / known.sum(axis=1)), rel=1e-5)
    predicted, actual = (p > 0.5) & known, ratings > 0
    f1 = 2 * (predicted & actual).sum() / (predicted.sum() + actual.sum())
    assert epoch.val_f1 == pytest.approx(f1, abs=1e-6) and epoch.videos == len(
        segments_of(data["examples"], "train")[0]
    )
    card = ModelCard.read(f"{trained.uri}/Format-Serving")
    assert card.level == "frame" and card.validation["f1"] == pytest.approx(f1, abs=1e-6)
    assert "map_at_k" in card.validation and "hit_at_1" not in card.validation


def average_precision(scores, holds):
    ranked = holds[np.argsort(-scores, kind="stable")]
    return (np.cumsum(ranked) / np.arange(1, len(ranked) + 1) * ranked).sum() / max(ranked.sum(), 1)


def test_the_evaluator_scores_rated_pairs(data, trained, probabilities, steps):
    champion = steps.artifact(tfx.types.standard_artifacts.Model, "none")
    champion.set_string_custom_property(VERSION, "")
    evaluation = steps.artifact(tfx.types.standard_artifacts.ModelEvaluation, "evaluation")
    blessing = steps.artifact(tfx.types.standard_artifacts.ModelBlessing, "blessing")
    properties = {
        "example_splits": '["test"]',
        "requirements": json.dumps([{"metric": "map_at_k", "min": 1.0}]),
        "floor": 1,
        "slices": "[]",
        "verticals": "[]",
        "rated": 1,
        "sources": "",
    }
    inputs = {name: data[name] for name in ("examples", "statistics")} | {"model": trained, "baseline_model": champion}
    steps.execute(EvaluatorExecutor, inputs, {"evaluation": evaluation, "blessing": blessing}, properties)
    verdict = Verdict.read(evaluation.uri)
    ids, frames, ratings = segments_of(data["examples"], "test")
    p, known = probabilities(frames), ratings >= 0
    predicted, actual = (p > 0.5) & known, ratings > 0
    scores = verdict.overall.scores
    assert verdict.overall.videos == len(ids) and len(verdict.slices) == 1
    assert scores["f1"] == pytest.approx(2 * (predicted & actual).sum() / (predicted.sum() + actual.sum()), abs=1e-6)
    by_label = [average_precision(p[known[:, c], c], actual[known[:, c], c]) for c in range(CLASSES)]
    positive, rated = actual.any(axis=0), known.any(axis=0)
    assert scores["map_at_k"] == pytest.approx(np.mean(np.array(by_label)[positive]), abs=1e-9)
    assert scores["map_at_k_rated"] == pytest.approx(np.mean(np.array(by_label)[rated]), abs=1e-9)
    assert not {"map", "perr", "hit_at_1"} & set(scores)
    intervals = verdict.overall.intervals
    assert set(intervals) == {"f1", "gap", "map_at_k", "f1_at_threshold"}
    assert intervals["map_at_k"].low < scores["map_at_k"] < intervals["map_at_k"].high
    assert not verdict.blessed
    assert verdict.reasons[0] == f"map_at_k {scores['map_at_k']:.4f} is below the required 1"
    names = {f"{number:04d}:{start}" for number, start in ids}
    assert {video.id for video in verdict.details.worst} <= names
    page = Path(evaluation.uri, "evaluation.html").read_text()
    assert f"{len(ids)} rated test segments" in page and "MAP@100,000" in page and "GAP@20" in page
    assert not list(Path(evaluation.uri).glob("writing*"))
