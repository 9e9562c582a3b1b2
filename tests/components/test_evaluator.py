"""Evaluator on a real exported model: scores and slices against NumPy, and who is blessed for which reason."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import json_format
from tfx import v1 as tfx

from components.champion_resolver import VERSION
from components.evaluator.component import EvaluatorExecutor, _eval_config
from components.evaluator.verdict import Verdict
from components.trainer.export import export
from models.input.batches import parse_means
from models.settings import ModelSettings
from models.video_classifier import build_video_classifier

CLASSES = 4


@pytest.fixture
def data(transform, tmp_path, write_shard, video_record):
    """Sixty video-level examples and what Transform made of them."""
    records = [video_record(f"{n:04d}", sorted({n % 4, n % 3})) for n in range(60)]
    write_shard(tmp_path / "data" / "a.tfrecord", records)
    return transform(tmp_path / "data", "video", CLASSES)


@pytest.fixture
def model(data, artifact):
    """Exports a model whose logits are random, shifted by a bias."""

    def make(name, bias):
        settings = ModelSettings(encoder={"name": "average"})
        built = build_video_classifier(settings, CLASSES, seed=1)
        built.get_layer("logits").bias.assign(np.full(CLASSES, bias))
        made = artifact(tfx.types.standard_artifacts.Model, name)
        export(built, data[1].uri, ("a", "b", "c", "d"), "video", f"{made.uri}/Format-Serving", {"level": "video"})
        return made

    return make


@pytest.fixture
def evaluate(data, artifact, execute):
    def run(candidate, champion=None, min_f1=0.0, min_change=0.0):
        if champion is None:
            champion = artifact(tfx.types.standard_artifacts.Model, "none")
            champion.set_string_custom_property(VERSION, "")
        else:
            champion.set_string_custom_property(VERSION, "17")
        evaluation = artifact(tfx.types.standard_artifacts.ModelEvaluation, f"evaluation-{candidate.uri[-4:]}")
        blessing = artifact(tfx.types.standard_artifacts.ModelBlessing, "blessing")
        execute(
            EvaluatorExecutor,
            {"examples": data[0], "model": candidate, "baseline_model": champion, "schema": data[3]},
            {"evaluation": evaluation, "blessing": blessing},
            {
                "eval_config": json_format.MessageToJson(_eval_config("video", min_f1, min_change)),
                "example_splits": json.dumps(["test"]),
                "min_f1": min_f1,
                "min_change": min_change,
                "sources": "",
            },
        )
        verdict = Verdict.read(evaluation.uri)
        assert verdict.blessed == bool(blessing.get_int_custom_property("blessed"))
        assert blessing.get_string_custom_property("reasons") == "; ".join(verdict.reasons)
        return verdict

    return run


def f1(labels, scores):
    chosen = scores > 0.5
    return 2 * (chosen & (labels > 0)).sum() / (chosen.sum() + labels.sum())


def test_scores_and_slices_are_those_of_the_models_decisions(data, model, evaluate):
    candidate = model("good", bias=0.0)
    verdict = evaluate(candidate)
    files = [str(path) for path in Path(data[2].uri, "Split-test").glob("*")]
    inputs, labels = parse_means(next(iter(tf.data.TFRecordDataset(files).batch(100))), CLASSES)
    saved = keras.saving.load_model(f"{candidate.uri}/Format-Serving/assets.extra/model.keras")
    scores, labels = saved(inputs).numpy(), labels.numpy()
    assert verdict.blessed and verdict.overall.videos == len(labels)
    assert verdict.overall.scores["f1"] == pytest.approx(f1(labels, scores), abs=1e-9)
    counts = labels.sum(axis=1)
    assert {(part.feature, part.name, part.videos) for part in verdict.slices} == {
        ("", "", len(labels)),
        *(("num_labels", str(int(n)), int((counts == n).sum())) for n in set(counts)),
    }
    for part in verdict.slices[1:]:
        rows = counts == int(part.name)
        assert part.scores["f1"] == pytest.approx(f1(labels[rows], scores[rows]), abs=1e-9)


def test_a_model_below_the_threshold_is_not_blessed(model, evaluate):
    verdict = evaluate(model("good", bias=0.0), min_f1=0.99)
    assert not verdict.blessed
    assert verdict.reasons[0].endswith("is below the required 0.99")


def test_a_model_of_nan_scores_is_not_blessed(model, evaluate):
    verdict = evaluate(model("nans", bias=np.nan))
    assert not verdict.blessed
    assert verdict.reasons[0] == "f1 is not a number: the model gives NaN scores"


def test_the_champion_is_beaten_or_not(model, evaluate):
    good, silent = model("good", bias=0.0), model("mute", bias=-20.0)
    better = evaluate(good, champion=silent)
    assert better.blessed and better.champion["f1"] == 0.0 and better.champion_version == "17"
    assert "against the champion's 0.0000 (version 17): the change +" in better.reasons[1]
    worse = evaluate(silent, champion=good)
    assert not worse.blessed and worse.reasons[1].endswith("is below the required +0")
    assert worse.champion["f1"] == better.overall.scores["f1"]
