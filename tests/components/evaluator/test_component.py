"""Evaluator on a real exported model: scores and slices against NumPy, and who is blessed for which reason."""

import json
import re
from pathlib import Path

import apache_beam as beam
import keras
import numpy as np
import pytest
import tensorflow as tf
from apache_beam.pipeline import PipelineVisitor
from apache_beam.transforms.util import _GlobalWindowsBatchingDoFn
from tfx import v1 as tfx

from components.champion_resolver import VERSION
from components.dataset_statistics.component import DataStatistics
from components.dataset_statistics.counts import SplitCounts
from components.dataset_statistics.statistics import describe
from components.evaluator.analysis import analyze, eval_config
from components.evaluator.component import EvaluatorExecutor
from components.evaluator.verdict import CANDIDATE, Verdict
from components.example_gen.ingest import Summary
from components.trainer.export import export
from models.input.batches import parse_means
from models.settings import ModelSettings
from models.video_classifier import build_video_classifier

NAMES = ("a", "<b>", "c", "d")
CLASSES = len(NAMES)
OF_A_CHANNEL = ({"channel": b"news"}, {"channel": b"<i>"}, {})


@pytest.fixture
def data(transform, tmp_path, write_shard, video_record):
    """Sixty video-level examples, some with a feature of their own, and what Transform made of them."""
    records = [video_record(f"{n:04d}", sorted({n % 4, n % 3}), **OF_A_CHANNEL[n % 3]) for n in range(60)]
    write_shard(tmp_path / "data" / "a.tfrecord", records)
    return transform(tmp_path / "data", "video", CLASSES, kept_features='["channel", "nowhere"]')


@pytest.fixture
def statistics(artifact):
    """Says that label 1 is the most frequent one of the training split, then 3, 0 and 2."""
    counts = SplitCounts("video", CLASSES)
    counts.label_frequency[:] = (3, 9, 1, 5)
    made = artifact(DataStatistics, "statistics")
    describe({"train": counts}, NAMES, "data", "video", None, Summary(), "").write(made.uri)
    return made


@pytest.fixture
def model(data, artifact):
    """Exports a model whose logits are random, shifted by a bias."""

    def make(name, bias, **about):
        settings = ModelSettings(encoder={"name": "average"})
        built = build_video_classifier(settings, CLASSES, seed=1)
        built.get_layer("logits").bias.assign(np.full(CLASSES, bias))
        made = artifact(tfx.types.standard_artifacts.Model, name)
        export(built, data[1].uri, NAMES, "video", f"{made.uri}/Format-Serving", {"level": "video", **about})
        return made

    return make


@pytest.fixture
def evaluate(data, statistics, artifact, execute):
    def run(candidate, champion=None, slices=(), **thresholds):
        if champion is None:
            champion = artifact(tfx.types.standard_artifacts.Model, "none")
            champion.set_string_custom_property(VERSION, "")
        else:
            champion.set_string_custom_property(VERSION, "17")
        evaluation = artifact(tfx.types.standard_artifacts.ModelEvaluation, f"evaluation-{candidate.uri[-4:]}")
        blessing = artifact(tfx.types.standard_artifacts.ModelBlessing, "blessing")
        execute(
            EvaluatorExecutor,
            {
                "examples": data[0],
                "model": candidate,
                "baseline_model": champion,
                "statistics": statistics,
            },
            {"evaluation": evaluation, "blessing": blessing},
            {
                "example_splits": json.dumps(["test"]),
                "thresholds": json.dumps(thresholds or {"f1": {"min": 0.0, "min_change": 0.0}}),
                "slices": json.dumps(slices),
                "verticals": json.dumps(["Games", "", "Food", "Games"]),
                "sources": "",
            },
        )
        verdict = Verdict.read(evaluation.uri)
        assert verdict.blessed == bool(blessing.get_int_custom_property("blessed"))
        assert blessing.get_string_custom_property("reasons") == "; ".join(verdict.reasons)
        return verdict

    return run


@pytest.fixture
def predict(data):
    """Labels, probabilities and channels of the test split."""

    def run(model):
        files = [str(path) for path in Path(data[2].uri, "Split-test").glob("*")]
        examples = next(iter(tf.data.TFRecordDataset(files).batch(100)))
        inputs, labels = parse_means(examples, CLASSES)
        ids = tf.io.parse_example(examples, {"id": tf.io.FixedLenFeature([], tf.string)})["id"].numpy()
        channels = np.array([OF_A_CHANNEL[int(number) % 3].get("channel", b"") for number in ids])
        saved = keras.saving.load_model(f"{model.uri}/Format-Serving/assets.extra/model.keras")
        return labels.numpy(), saved(inputs).numpy(), channels

    return run


def f1(labels, scores, threshold=0.5):
    chosen = scores > threshold
    return 2 * (chosen & (labels > 0)).sum() / (chosen.sum() + labels.sum())


def test_scores_and_slices_are_those_of_the_models_decisions(model, evaluate, predict):
    candidate = model("good", bias=0.0, threshold=0.4)
    verdict = evaluate(candidate)
    labels, scores, _ = predict(candidate)
    overall = verdict.overall
    assert verdict.blessed and overall.videos == len(labels)
    assert overall.scores["f1"] == pytest.approx(f1(labels, scores), abs=1e-9)
    assert overall.scores["f1_at_threshold"] == pytest.approx(f1(labels, scores, 0.4), abs=1e-9)
    assert overall.intervals["f1"].low < overall.scores["f1"] < overall.intervals["f1"].high
    assert verdict.details.actual == labels.sum(axis=0).tolist()
    counts = labels.sum(axis=1)
    assert {(part.feature, part.name, part.videos) for part in verdict.slices} == {
        ("", "", len(labels)),
        *(("num_labels", str(int(n)), int((counts == n).sum())) for n in set(counts)),
    }
    for part in verdict.slices[1:]:
        rows = counts == int(part.name)
        assert part.scores["f1"] == pytest.approx(f1(labels[rows], scores[rows]), abs=1e-9)


def test_groups_of_labels_have_an_f1(model, evaluate, predict):
    candidate = model("good", bias=0.0)
    scores = evaluate(candidate).overall.scores
    labels, probabilities, _ = predict(candidate)
    # Four labels have no most frequent tenth; the middle is the two most frequent ones.
    groups = {"middle": [1, 3], "tail": [0, 2], "vertical:Games": [0, 3], "vertical:Food": [2], "label:<b>": [1]}
    for name, columns in groups.items():
        expected = f1(labels[:, columns], probabilities[:, columns])
        assert scores[f"f1/{name}"] == pytest.approx(expected, abs=1e-9), name
    assert "f1/head" not in scores


def test_any_feature_of_the_records_makes_slices(model, evaluate, predict):
    candidate = model("good", bias=0.0)
    verdict = evaluate(candidate, slices=["channel", "nowhere"])
    parts = {part.name: part for part in verdict.slices if part.feature == "channel"}
    assert set(parts) == {"news", "<i>"} and sum(part.videos for part in parts.values()) < verdict.overall.videos
    labels, scores, channels = predict(candidate)
    for name, part in parts.items():
        rows = channels == name.encode()
        assert part.videos == rows.sum()
        assert part.scores["f1"] == pytest.approx(f1(labels[rows], scores[rows]), abs=1e-9)
    assert "evaluation.slices: no test video has a feature 'nowhere'" in verdict.reasons


@pytest.mark.parametrize(
    ("thresholds", "blessed", "reason"),
    [
        ({"f1": {"min": 0.99}}, False, r"f1 0\.\d{4} is below the required 0.99"),
        ({"gap": {"min": 0.1}}, True, r"gap 0\.\d{4} is at least the required 0.1"),
        ({"ece": {"max": 0.0}}, False, r"ece 0\.\d{4} is above the allowed 0"),
        ({"f1@num_labels:2": {"min": 0.99}}, False, r"f1 0\.\d{4} where num_labels is 2 is below the required 0.99"),
        ({"f1@num_labels:2": {"min": 0.01}}, True, r"f1 0\.\d{4} where num_labels is 2 is at least the required 0.01"),
        (
            {"f1@num_labels:5+": {"min": 0.1}},
            False,
            r"no test video where num_labels is 5\+: f1 cannot be checked there",
        ),
        ({"f1/tail": {"min": 0.01}}, True, r"f1/tail 0\.\d{4} is at least the required 0.01"),
        ({"f1/head": {"min": 0.01}}, False, r"there is no score f1/head"),
    ],
)
def test_a_model_must_reach_every_threshold(model, evaluate, thresholds, blessed, reason):
    verdict = evaluate(model("good", bias=0.0), **thresholds)
    assert verdict.blessed == blessed
    assert re.fullmatch(reason, verdict.reasons[0])


def test_without_a_champion_and_a_bound_any_model_is_blessed(model, evaluate):
    verdict = evaluate(model("good", bias=0.0), f1={"min_change": 0.0})
    assert verdict.blessed and verdict.reasons == ["no other model serves yet, so there is none to compare with"]


def test_a_model_of_nan_scores_is_not_blessed(model, evaluate):
    verdict = evaluate(model("nans", bias=np.nan), f1={"min_change": 0.0})
    assert not verdict.blessed
    assert verdict.reasons[0] == "f1 is not a number: the model gives NaN scores"


def test_the_champion_is_beaten_or_not(model, evaluate):
    good, silent = model("good", bias=0.0), model("mute", bias=-20.0)
    better = evaluate(good, champion=silent)
    assert better.blessed and better.overall.champion["f1"] == 0.0 and better.champion_version == "17"
    assert "against the champion's 0.0000 (version 17): the change +" in better.reasons[1]
    assert "beyond noise" in better.reasons[1]
    worse = evaluate(silent, champion=good)
    assert not worse.blessed and "is below the required +0; it is beyond noise" in worse.reasons[1]
    assert worse.overall.champion["f1"] == better.overall.scores["f1"]
    assert worse.champion_details.actual == better.details.actual


def test_a_change_within_noise_is_said_to_be_so(model, evaluate):
    near = evaluate(model("near", bias=0.01), champion=model("good", bias=0.0), f1={"min_change": -0.1})
    assert near.blessed
    assert re.search(r"the change [+-]0\.\d{4} is at least the required -0.1; it is within noise", near.reasons[0])


def test_where_lower_is_better_a_change_for_the_better_is_a_fall(model, evaluate):
    calibrated, loud = model("good", bias=-1.0), model("loud", bias=5.0)
    better = evaluate(calibrated, champion=loud, ece={"min_change": 0.1})
    assert better.blessed and "the change +" in better.reasons[0]
    assert not evaluate(loud, champion=calibrated, ece={"min_change": 0.0}).blessed


def test_batches_do_not_grow_with_the_number_of_videos(data, model):
    # TFMA's default would take up to 1000 videos at once, as many as its clock lets it.
    sizes = []

    class Batches(PipelineVisitor):
        def visit_transform(self, node):
            if isinstance(getattr(node.transform, "fn", None), _GlobalWindowsBatchingDoFn):
                estimator = node.transform.fn._batch_size_estimator
                sizes.append((estimator._min_batch_size, estimator._max_batch_size))

    folder = f"{model('good', bias=0.0).uri}/Format-Serving"
    config = eval_config({CANDIDATE: 0.5}, CLASSES, "video", [], [], {})
    pipeline = beam.Pipeline(runner="FnApiRunner")
    analyze(pipeline, [f"{data[0].uri}/Split-test/*"], {CANDIDATE: folder}, config, "unused")
    pipeline.visit(Batches())
    assert sizes == [(32, 32)]


def test_the_page_escapes_names_and_loads_nothing(data, model, evaluate):
    candidate = model("good", bias=0.0, experiment="<i>mine</i>")
    evaluate(candidate)
    page = Path(candidate.uri).with_name("evaluation-good").joinpath("evaluation.html").read_text()
    assert "&lt;b&gt;" in page and "<b>" not in page and "&lt;i&gt;mine" in page
    assert not re.search(r"\bsrc\s*=|@import|url\((?!#)|<(?:script|iframe|link rel=.style)", page)
    for title in ("By number of labels", "Confused labels", "The largest errors", "By vertical", "Calibration"):
        assert title in page
