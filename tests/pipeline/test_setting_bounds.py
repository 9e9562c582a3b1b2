"""Values that Keras, TFX, KerasTuner, Beam or Kubernetes would refuse later, or hang on, are refused at once."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputError
from models.training_settings import _warn_once
from pipeline.experiments import Published, find_experiment
from pipeline.kubeflow.compile.settings import ClusterSettings
from pipeline.settings import RunSettings, resolve_settings

REFUSED = [
    "seed=-1",
    "seed=4294967295",
    "training.learning_rate=0",
    "training.learning_rate=1.0e39",
    "training.learning_rate=1.0e-40",
    "training.decay_rate=1.0e-300",
    "training.clipnorm=1.0e300",
    "training.clipvalue=1.0e-300",
    "training.max_hours=1.0e308",
    "training.batch_size=0",
    "training.batch_size=2147483648",
    "training.patience=9223372036854775808",
    "training.warm_start=",
    "training.warm_start=''",
    'training.warm_start="a\\0b"',
    'model.encoder={name: ensemble, members: [a, "b\\0"]}',
    'training.teachers=[a, "b\\0"]',
    'data.vocabulary="\\0"',
    "model.dropout=1",
    "model.pooled_dropout=-0.1",
    "model.hidden_units=[1000000000000]",
    "model.encoder.clusters=1000000000000",
    "model.encoder={name: lstm, units: 1000000000000}",
    "model.encoder={name: lstm, units: 8, layers: 1000000}",
    "model.experts=-1",
    "data.classes=1000000000000",
    "data.spans=0",
    "data.quarantine_limit=1.5",
    "data.split=file:1000000000000000000000000000000/10/10",
    "data.split=file:80/0/20",
    "data.split=halves",
    f"data.split=id:{'9' * 5_000}/1/1",
    "data.drift.label_distance=2",
    "data.drift.feature_shift=1.0e300",
    "evaluation.thresholds.f1={min: 0.9, max: 0.1}",
    "evaluation.thresholds.f1.min=2",
    "evaluation.thresholds.f1.min_change=-3",
    "evaluation.thresholds={'f1@:x': {min: 0.5}}",
    "evaluation.thresholds={'f1@nothing:1': {min: 0.5}}",
    "evaluation.thresholds={'f1/nothing': {min: 0.5}}",
    "evaluation.thresholds={'f1@num_labels:abc': {min: 0.5}}",
    "evaluation.thresholds={'f1@num_frames:60': {min: 0.5}}",
    "evaluation.slices=['']",
    "out=/elsewhere",
    "experiment=other",
    "training={batch_size: 3}",
    "seed=true",
    "training.batch_size=true",
    "training.learning_rate=yes",
    "model.hidden_units=[true]",
    "data.quarantine_limit=false",
    "tune.max_trials=on",
    "beam.workers=1000000",
    "beam.workers=0",
    "tune.max_trials=0",
    "tune.factor=1",
    "tune.workers=100000",
    "tune.space={training.batch_size: {type: int, min: 9, max: 3}}",
    "tune.space={training.batch_size: {type: int, min: 8, max: 99999999999}}",
    "tune.space={training.learning_rate: {type: float, min: 0.001, max: 1.0e+39}}",
    "experiment=a/b",
    "experiment=..",
    "experiment=.x",
    f"experiment={'x' * 300}",
    'experiment="a\\nb"',
    'experiment="\\e[2J"',
]


@pytest.mark.parametrize("override", REFUSED, ids=range(len(REFUSED)))
def test_a_value_that_cannot_work_is_one_line_that_names_its_key(yt8m, override):
    answer = yt8m("run", "--data", "/nowhere", "--experiment", "netvlad-8", "--set", override)
    assert answer.code == 2 and answer.err.startswith("error: ") and answer.err.count("\n") == 1
    key = override.partition("=")[0]
    # An error about several keys names their common parent.
    assert any(answer.err.startswith(f"error: {part}") for part in (key, key.rpartition(".")[0] or key)), answer.err
    assert len(answer.err) < 400 and answer.err.rstrip("\n").isprintable()


def test_published_results_are_not_settings(yt8m):
    for override in ("published.row=99", "published={table: 4}"):
        answer = yt8m("run", "--data", "/nowhere", "--experiment", "average-576", "--set", override)
        assert (answer.code, answer.err) == (2, "error: published is what the thesis measured, not a setting\n")


def numbers(schema: dict[str, Any], place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The numbers in a JSON schema, with their places."""
    if schema.get("type") in ("integer", "number"):
        yield place, schema
    for key, inner in schema.items():
        for part in inner if isinstance(inner, list) else [inner]:
            if isinstance(part, dict):
                yield from numbers(part, f"{place}.{key}")


@pytest.mark.parametrize("model", [RunSettings, ClusterSettings])
def test_every_number_has_a_smallest_and_a_largest_value(model):
    schema = model.model_json_schema()
    schema["$defs"].pop(Published.__name__, None)  # published values are only shown
    by_place = dict(numbers(schema, model.__name__))
    assert len(by_place) > 5
    for place, number in by_place.items():
        if "enum" in number or ".Choice." in place or ".when." in place:  # limited in another way
            continue
        assert {"minimum", "exclusiveMinimum"} & number.keys(), place
        assert {"maximum", "exclusiveMaximum"} & number.keys(), place


@given(st.sampled_from(["batch_size", "max_epochs", "patience", "decay_samples"]), st.integers())
def test_a_whole_number_is_kept_exactly_or_refused(key, value):
    experiment, options = find_experiment("netvlad-8"), {"data.pattern": "/x", f"training.{key}": value}
    try:
        settings = resolve_settings(experiment, options)
    except InputError as error:
        assert str(error).startswith(f"training.{key} is ") and (value < 1 or value > 10_000_000)
    else:
        assert getattr(settings.training, key) == value > 0


def test_the_shuffle_buffer_of_older_experiments_is_ignored_with_a_warning(caplog):
    _warn_once.cache_clear()
    for _ in range(2):
        settings = resolve_settings(
            find_experiment("netvlad-8"), {"data.pattern": "/x", "training.shuffle_videos": 32768}
        )
    assert settings == resolve_settings(find_experiment("netvlad-8"), {"data.pattern": "/x"})
    assert caplog.messages == [
        "training.shuffle_videos has no effect any more, leave it out: every epoch shuffles all videos"
    ]
