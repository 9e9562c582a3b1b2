"""Evaluator on a real exported model: scores and slices against NumPy, and which model is blessed for which reason."""

import json
import re
import shutil
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import apache_beam as beam
import keras
import numpy as np
import pytest
import tensorflow as tf
from apache_beam.pipeline import PipelineVisitor
from apache_beam.transforms.util import _GlobalWindowsBatchingDoFn
from tfx import v1 as tfx

import tensorflow_model_analysis as tfma  # isort: skip
from tensorflow_model_analysis.evaluators.metrics_validator import validate_metrics
from tensorflow_model_analysis.metrics.metric_types import MetricKey
from tensorflow_model_analysis.slicer.slicer_lib import deserialize_slice_key
from tensorflow_model_analysis.writers.metrics_plots_and_validations_writer import CombineValidations

from components.champion import VERSION
from components.dataset_statistics.artifact import DataStatistics
from components.dataset_statistics.counts import SplitCounts
from components.dataset_statistics.statistics import describe
from components.evaluator.analysis import analyze, eval_config
from components.evaluator.component import EvaluatorExecutor
from components.evaluator.constant_prediction import ConstantPrediction
from components.evaluator.label_groups import label_groups
from components.evaluator.requirements import parse_requirements
from components.evaluator.verdict import CANDIDATE, CHAMPION, Verdict, judge
from components.example_gen.ingest import Summary
from components.example_gen.splits import SPLITS
from components.served_models import ModelCard
from components.trainer.export import export
from models.input.index import read_index
from models.input.indexed_batches import IndexedBatches
from models.settings import ModelSettings
from models.video_classifier import build_video_classifier

NAMES = ("a", "<b>", "c", "d")
CLASSES = len(NAMES)
VERTICALS = ("Games", "", "Food", "Games")
# Videos of the training split: label 1 is the most frequent one, then 3, 0 and 2.
FREQUENCY, VIDEOS = (3, 9, 1, 5), 10


@pytest.fixture(scope="module")
def steps(steps_in, tmp_path_factory):
    return steps_in(tmp_path_factory.mktemp("evaluator"))


@pytest.fixture(scope="module")
def statistics(steps):
    counts = SplitCounts("video", CLASSES)
    counts.label_frequency[:] = FREQUENCY
    described = describe({"train": counts}, NAMES, "data", "video", None, Summary(), "")
    split = described.splits["train"].model_copy(update={"videos": VIDEOS})
    made = steps.artifact(DataStatistics, "statistics")
    described.model_copy(update={"splits": dict.fromkeys(SPLITS, split)}).write(made.uri)
    return made


@pytest.fixture(scope="module")
def model(transformed_means, steps):
    """Exports a model with random logits, shifted by a bias; once for the same arguments."""

    @cache
    def make(name, bias, **about):
        settings = ModelSettings(encoder={"name": "average"})
        built = build_video_classifier(settings, CLASSES, seed=1)
        built.get_layer("logits").bias.assign(np.full(CLASSES, bias))
        made = steps.artifact(tfx.types.standard_artifacts.Model, name)
        folder = f"{made.uri}/Format-Serving"
        card = ModelCard(level="video", model_id=name, model=settings.model_dump(), **about)
        export(built, transformed_means.graph.uri, NAMES, card, folder)
        return made

    return make


@pytest.fixture(scope="module")
def good(model):
    return model("good", bias=0.0, threshold=0.4, experiment="<i>mine</i>")


@pytest.fixture(scope="module")
def mute(model):
    """A model that predicts nothing."""
    return model("mute", bias=-20.0)


@dataclass(frozen=True)
class Evaluation:
    """The output of the Evaluator."""

    folder: Path
    verdict: Verdict


@pytest.fixture(scope="module")
def evaluate(transformed_means, statistics, steps):
    def run(candidate, champion=None, slices=(), **thresholds):
        requirements = parse_requirements(thresholds or {"f1": {"min": 0.0, "min_change": 0.0}})
        baseline = champion or steps.artifact(tfx.types.standard_artifacts.Model, "none")
        baseline.set_string_custom_property(VERSION, "17" if champion else "")
        evaluation = steps.artifact(tfx.types.standard_artifacts.ModelEvaluation, "evaluation")
        blessing = steps.artifact(tfx.types.standard_artifacts.ModelBlessing, "blessing")
        data = {"examples": transformed_means.examples, "statistics": statistics}
        steps.execute(
            EvaluatorExecutor,
            data | {"model": candidate, "baseline_model": baseline},
            {"evaluation": evaluation, "blessing": blessing},
            {
                "example_splits": json.dumps(["test"]),
                "requirements": json.dumps([asdict(requirement) for requirement in requirements]),
                "floor": 1,
                "slices": json.dumps(slices),
                "verticals": json.dumps(VERTICALS),
                "rated": 0,
                "sources": "",
            },
        )
        verdict = Verdict.read(evaluation.uri)
        assert verdict.blessed == bool(blessing.get_int_custom_property("blessed"))
        assert blessing.get_string_custom_property("reasons") == "; ".join(verdict.reasons)
        return Evaluation(Path(evaluation.uri), verdict)

    return run


@pytest.fixture(scope="module")
def alone(good, evaluate):
    """The evaluation of `good` where no other model serves, with thresholds that it reaches in every slice."""
    thresholds = {"f1": {"min": 0.0, "min_change": 0.0}, "f1/tail": {"min": 0.01}, "f1@num_labels:2": {"min": 0.01}}
    return evaluate(good, slices=["channel", "nowhere"], **thresholds)


@pytest.fixture(scope="module")
def better(good, mute, evaluate):
    """The evaluation of `good` where `mute` serves."""
    return evaluate(good, champion=mute)


@pytest.fixture(scope="module")
def worse(good, mute, evaluate):
    """The evaluation of `mute` where `good` serves."""
    return evaluate(mute, champion=good)


@pytest.fixture(scope="module")
def answers(transformed_means, good):
    """Labels, probabilities of `good` and channels of the test split."""
    files = [str(path) for path in Path(transformed_means.transformed.uri, "Split-test").glob("*")]
    examples = next(iter(tf.data.TFRecordDataset(sorted(files)).batch(100)))
    [(inputs, labels)] = IndexedBatches(read_index(files), CLASSES, batch_size=100)
    ids = tf.io.parse_example(examples, {"id": tf.io.FixedLenFeature([], tf.string)})["id"].numpy()
    channels = np.array([(b"news", b"<i>", b"")[int(number) % 3] for number in ids])
    saved = keras.saving.load_model(f"{good.uri}/Format-Serving/assets.extra/model.keras")
    return labels.numpy(), saved(inputs).numpy(), channels


def f1(labels, scores, threshold=0.5):
    chosen = scores > threshold
    return 2 * (chosen & (labels > 0)).sum() / (chosen.sum() + labels.sum())


def test_scores_and_slices_match_the_models_decisions(alone, answers):
    verdict, (labels, scores, _) = alone.verdict, answers
    overall = verdict.overall
    assert overall.videos == len(labels)
    assert overall.scores["f1"] == pytest.approx(f1(labels, scores), abs=1e-9)
    assert overall.scores["f1_at_threshold"] == pytest.approx(f1(labels, scores, 0.4), abs=1e-9)
    assert overall.intervals["f1"].low < overall.scores["f1"] < overall.intervals["f1"].high
    assert verdict.details.actual == labels.sum(axis=0).tolist()
    counts = labels.sum(axis=1)
    parts = [part for part in verdict.slices if part.feature != "channel"]
    assert {(part.feature, part.name, part.videos) for part in parts} == {
        ("", "", len(labels)),
        *(("num_labels", str(int(n)), int((counts == n).sum())) for n in set(counts)),
    }
    for part in parts[1:]:
        rows = counts == int(part.name)
        assert part.scores["f1"] == pytest.approx(f1(labels[rows], scores[rows]), abs=1e-9)


def test_groups_of_labels_have_an_f1(alone, answers):
    scores, (labels, probabilities, _) = alone.verdict.overall.scores, answers
    # Four labels have no most frequent tenth; the middle is the two most frequent ones.
    groups = {"middle": [1, 3], "tail": [0, 2], "vertical:Games": [0, 3], "vertical:Food": [2], "label:<b>": [1]}
    for name, columns in groups.items():
        expected = f1(labels[:, columns], probabilities[:, columns])
        assert scores[f"f1/{name}"] == pytest.approx(expected, abs=1e-9), name
    assert "f1/head" not in scores


def test_any_feature_of_the_records_makes_slices(alone, answers):
    verdict, (labels, scores, channels) = alone.verdict, answers
    parts = {part.name: part for part in verdict.slices if part.feature == "channel"}
    assert set(parts) == {"news", "<i>"} and sum(part.videos for part in parts.values()) < verdict.overall.videos
    for name, part in parts.items():
        rows = channels == name.encode()
        assert part.videos == rows.sum()
        assert part.scores["f1"] == pytest.approx(f1(labels[rows], scores[rows]), abs=1e-9)
    assert "evaluation.slices: no test video has a feature 'nowhere'" in verdict.reasons


def judged(evaluation, folder, thresholds, floor=None):
    """The verdict under other thresholds: TFMA's own validation of the scores that it computed."""
    version, requirements = evaluation.verdict.champion_version, parse_requirements(thresholds)
    models = [CANDIDATE, CHAMPION] if version else [CANDIDATE]
    groups = label_groups(FREQUENCY, NAMES, VERTICALS)
    config = eval_config(dict.fromkeys(models, 0.4), CLASSES, "video", requirements, [], groups)
    combined = CombineValidations(config)
    validations = combined.create_accumulator()
    for part in tfma.load_metrics(str(evaluation.folder)):
        items = [item for item in part.metric_keys_and_values if item.value.HasField("double_value")]
        metrics = {MetricKey.from_proto(item.key): item.value.double_value.value for item in items}
        validation = validate_metrics((deserialize_slice_key(part.slice_key), metrics), config)
        validations = combined.add_input(validations, validation)
    shutil.copytree(evaluation.folder, folder)
    with tf.io.TFRecordWriter(str(next(folder.glob("validations*")))) as writer:
        writer.write(combined.extract_output(validations).SerializeToString())
    return judge(str(folder), requirements, (), version, floor)


def test_judging_again_gives_the_verdict_of_the_evaluation(better, worse, tmp_path):
    for name, evaluation in (("better", better), ("worse", worse)):
        assert judged(evaluation, tmp_path / name, {"f1": {"min": 0.0, "min_change": 0.0}}) == evaluation.verdict


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
def test_a_model_must_reach_every_threshold(alone, tmp_path, thresholds, blessed, reason):
    verdict = judged(alone, tmp_path / "evaluation", thresholds)
    assert verdict.blessed == blessed
    assert re.fullmatch(reason, verdict.reasons[0])


def test_a_first_model_must_score_higher_than_the_constant_prediction(alone, tmp_path):
    # `good` ranks labels at random.
    first, of = alone.verdict, "of the training split's label frequencies predicted for every video"
    assert not first.blessed and [reason for reason in first.reasons if "predicted for every video" in reason] == [
        f"gap {first.overall.scores['gap']:.4f} is not above {first.constant['gap']:.4f}, that {of}",
        f"f1_at_threshold {first.overall.scores['f1_at_threshold']:.4f} is above 0.4800, that {of}",
    ]
    reverse = ConstantPrediction(1 - np.array(FREQUENCY) / VIDEOS, threshold=0.999)
    assert judged(alone, tmp_path / "evaluation", {"f1": {"min_change": 0.0}}, floor=reverse).blessed


def test_without_a_champion_a_bound_and_a_floor_any_model_is_blessed(alone, tmp_path):
    verdict = judged(alone, tmp_path / "evaluation", {"f1": {"min_change": 0.0}})
    assert verdict.blessed and verdict.reasons == ["no other model serves yet, so there is none to compare with"]


def test_a_model_with_nan_scores_is_not_blessed(model, evaluate):
    verdict = evaluate(model("nans", bias=np.nan), f1={"min_change": 0.0}).verdict
    assert not verdict.blessed
    assert verdict.reasons[0] == "f1 is not a number: the model gives NaN scores"
    assert verdict.reasons[-1].startswith("f1_at_threshold nan is not above 0.4800, that of")


def test_a_candidate_must_be_no_worse_than_the_champion(better, worse):
    better, worse = better.verdict, worse.verdict
    assert better.blessed and better.overall.champion["f1"] == 0.0 and better.champion_version == "17"
    assert "against the champion's 0.0000 (version 17): the change +" in better.reasons[1]
    assert "beyond noise" in better.reasons[1] and better.constant == {}
    assert not worse.blessed and "is below the required +0; it is beyond noise" in worse.reasons[1]
    assert worse.overall.champion["f1"] == better.overall.scores["f1"]
    assert worse.champion_details.actual == better.details.actual


def test_a_change_within_noise_is_reported_as_such(good, model, evaluate):
    near = evaluate(model("near", bias=0.01), champion=good, f1={"min_change": -0.1}).verdict
    assert near.blessed
    assert re.search(r"the change [+-]0\.\d{4} is at least the required -0.1; it is within noise", near.reasons[0])


def test_where_lower_is_better_an_improvement_is_a_decrease(better, worse, tmp_path):
    fallen = judged(better, tmp_path / "fallen", {"ece": {"min_change": 0.1}})
    assert fallen.blessed and "the change +" in fallen.reasons[0]
    assert not judged(better, tmp_path / "too little", {"ece": {"min_change": 0.9}}).blessed
    assert not judged(worse, tmp_path / "worse", {"ece": {"min_change": 0.0}}).blessed


def test_batches_do_not_grow_with_the_number_of_videos(transformed_means, good):
    # TFMA's default is up to 1000 videos at once, depending on measured time.
    sizes = []

    class Batches(PipelineVisitor):
        def visit_transform(self, node):
            if isinstance(getattr(node.transform, "fn", None), _GlobalWindowsBatchingDoFn):
                estimator = node.transform.fn._batch_size_estimator
                sizes.append((estimator._min_batch_size, estimator._max_batch_size))

    folder = f"{good.uri}/Format-Serving"
    config = eval_config({CANDIDATE: 0.5}, CLASSES, "video", [], [], {})
    pipeline = beam.Pipeline(runner="FnApiRunner")
    analyze(pipeline, [f"{transformed_means.examples.uri}/Split-test/*"], {CANDIDATE: folder}, config, "unused")
    pipeline.visit(Batches())
    assert sizes == [(32, 32)]


def test_the_page_escapes_names_and_loads_nothing(alone):
    page = (alone.folder / "evaluation.html").read_text()
    assert "&lt;b&gt;" in page and "<b>" not in page and "&lt;i&gt;mine" in page
    assert not re.search(r"\bsrc\s*=|@import|url\((?!#)|<(?:script|iframe|link rel=.style)", page)
    for title in ("By number of labels", "Confused labels", "Largest errors", "By vertical", "Calibration"):
        assert title in page
