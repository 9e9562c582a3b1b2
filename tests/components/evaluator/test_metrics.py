"""The TFMA metric: videos counted one by one in several accumulators give the scores of all of them."""

import importlib
import pickle
import sys

import numpy as np
import pytest
from tfx import v1 as tfx  # noqa: F401  (tfma.EvalConfig exists only after this import)

import tensorflow_model_analysis as tfma  # isort: skip
from google.protobuf import text_format
from tensorflow_model_analysis.extractors.unbatch_extractor import UNBATCH_EXTRACTOR_STAGE_NAME
from tensorflow_model_analysis.metrics import metric_types
from tensorflow_model_analysis.proto import config_pb2
from tensorflow_model_analysis.utils.util import split_extracts

from components.evaluator.details import Details
from components.evaluator.metrics import Accumulator, VideoScores
from components.evaluator.outcomes import OutcomesOf, add_outcomes, with_outcomes
from models.metrics.outcomes import Outcomes
from models.metrics.video_metrics import VideoMetrics

CONFIG = text_format.Parse("model_specs { label_key: 'labels' }", tfma.EvalConfig())
GROUPS = {"head": [0, 1, 2], "label:a & b": [7]}


def extracts(labels, scores, first):
    """The extracts of a batch of videos as TFMA makes them."""
    ids = np.array([f"{first + row:04d}".encode() for row in range(len(labels))], object)
    return {"labels": labels, "predictions": scores, "features": {"id": ids}}


def evaluate(labels, scores, merge_every=3):
    """Feeds videos through the metric's own steps: batches of 7, then single videos in several accumulators."""
    [computation] = VideoScores(labels.shape[1], 0.25, GROUPS).computations(model_names=[""])
    [preprocessor], combiner = computation.preprocessors, computation.combiner
    batches = [add_outcomes(extracts(labels[row : row + 7], scores[row : row + 7], row)) for row in range(0, 50, 7)]
    accumulators = [combiner.create_accumulator()]
    for row, video in enumerate(video for batch in batches for video in split_extracts(batch)):
        accumulators[-1] = combiner.add_inputs(accumulators[-1], list(preprocessor.process(video)))
        if row % merge_every == 0:
            accumulators.append(combiner.compact(combiner.create_accumulator()))
    merged = combiner.extract_output(combiner.merge_accumulators(accumulators))
    assert set(merged) == set(computation.keys)
    return {key.name: value for key, value in merged.items()}


@pytest.fixture
def predictions():
    generator = np.random.default_rng(0)
    labels = (generator.random((50, 30)) < 0.1).astype(np.float32)
    return labels, np.clip(labels * 0.3 + generator.random((50, 30)) * 0.6, 0, 1).astype(np.float32)


def test_scores_equal_those_of_all_videos_at_once(predictions):
    labels, scores = predictions
    expected = VideoMetrics(30)
    expected.update(scores, labels)
    computed = evaluate(labels, scores)
    for name, value in expected.scores(0.25).items():
        assert computed[name] == pytest.approx(value, abs=1e-12), name
    assert computed["f1/head"] == expected.f1_of(np.array([0, 1, 2]))
    assert computed["f1/label:a & b"] == expected.f1_of(np.array([7]))


def test_each_model_has_outcomes_of_its_own(predictions):
    labels, scores = predictions
    batch = add_outcomes({**extracts(labels, scores, 0), "predictions": {"candidate": scores, "champion": 1 - scores}})
    for model, probabilities in batch["predictions"].items():
        [video] = OutcomesOf(model).process(split_extracts(batch)[3])
        assert video.ids == (b"0003",)
        assert video.scores[0, 0] == probabilities[3].max()


def test_outcomes_are_computed_in_batches_after_the_predictions():
    names = [extractor.stage_name for extractor in with_outcomes(tfma.default_extractors(eval_config=CONFIG))]
    assert names[names.index("ExtractOutcomes") + 1] == UNBATCH_EXTRACTOR_STAGE_NAME
    assert names.index("ExtractOutcomes") > max(place for place, name in enumerate(names) if "Predict" in name)


def test_counts_are_pickled_whole_and_in_few_bytes():
    accumulator = Accumulator(300, 0.25)
    add_videos(accumulator, 0, 500)
    metrics, findings = accumulator.counts()
    sent = pickle.dumps(accumulator)
    received, received_findings = pickle.loads(sent).counts()
    assert received.videos == 500
    assert received.scores(0.5) == metrics.scores(0.5)
    assert received_findings.worst() == findings.worst()
    assert len(sent) < 0.3 * len(pickle.dumps((metrics, findings)))


def add_videos(accumulator, first, last):
    for number in range(first, last):
        rng = np.random.default_rng(number)
        probabilities, labels = rng.random((1, 300), np.float32) ** 8, rng.random((1, 300)) < 0.02
        accumulator.add(Outcomes.of(probabilities, labels, [b"%d" % number]))


def test_an_accumulator_can_be_packed_at_any_time():
    whole, other = Accumulator(300, 0.25), Accumulator(300, 0.25)
    parts = [Accumulator(300, 0.25).pack(), Accumulator(300, 0.25)]
    for first, last in ((0, 21), (21, 30), (30, 64), (64, 64)):
        add_videos(whole, first, last)
        add_videos(parts[0], first, last)
        assert parts[0].pack().counts()[0].videos == last
    add_videos(whole, 64, 90)
    add_videos(other, 64, 90)
    parts[1].merge(other.pack())
    parts[0].merge(parts[1])
    assert parts[0].counts()[0].scores(0.5) == pytest.approx(whole.counts()[0].scores(0.5))
    assert parts[0].counts()[1].worst() == whole.counts()[1].worst()


def test_accumulators_stay_packed_until_they_are_merged():
    # Beam merges up to 500 at once.
    accumulators = [Accumulator(300, 0.25) for _ in range(3)]
    for number, accumulator in enumerate(accumulators):
        add_videos(accumulator, 20 * number, 20 * number + 20)
    sent = [pickle.loads(pickle.dumps(accumulator)) for accumulator in accumulators]
    sizes = [len(pickle.dumps(vars(accumulator))) for accumulator in sent]
    [computation] = VideoScores(300, 0.5).computations(model_names=[""])
    merged = computation.combiner.merge_accumulators(sent)
    assert [len(pickle.dumps(vars(accumulator))) for accumulator in sent[1:]] == sizes[1:]
    assert merged.counts()[0].videos == 60


def test_details_read_from_bytes_as_they_were_written(predictions):
    labels, scores = predictions
    details = Details.from_bytes(evaluate(labels, scores)["details"])
    chosen, truth = scores > 0.5, labels > 0
    assert details.true_positives == (chosen & truth).sum(axis=0).tolist()
    assert details.predicted_above[250] == (scores.astype(np.float64) > 0.25).sum()
    assert {name: len(values) for name, values in details.replicates.items()} == dict.fromkeys(
        ("f1", "gap", "hit_at_1", "f1_at_threshold"), 200
    )
    assert len(details.worst) == 12
    assert details.threshold == 0.25
    assert Details.from_bytes(details.to_bytes()) == details


def test_one_nan_score_makes_every_score_nan(predictions):
    labels, scores = predictions
    scores[7, 1] = np.nan
    computed = evaluate(labels, scores)
    assert all(np.isnan(value) for name, value in computed.items() if name != "details")
    Details.from_bytes(computed["details"])


@pytest.fixture
def worker(monkeypatch):
    """Removes imported modules that a worker process lacks: tfx, its additions to tfma, and ours."""
    for name in list(sys.modules):
        package = name.partition(".")[0]
        if package == "tfx":
            monkeypatch.setitem(sys.modules, name, None)
        elif package in ("components", "models"):
            monkeypatch.delitem(sys.modules, name)
    for name in vars(tfma).keys() & config_pb2.DESCRIPTOR.message_types_by_name.keys():
        monkeypatch.delattr(tfma, name)
    yield
    metric_types.register_metric(VideoScores)  # in place of the class that the test has imported


def test_a_beam_worker_imports_the_metrics_without_tfx(worker):
    # A worker process imports only what it unpickles; tfma.EvalConfig exists only once TFX is imported.
    assert not hasattr(tfma, "EvalConfig")
    assert importlib.import_module("components.evaluator.metrics").VideoScores is not VideoScores
