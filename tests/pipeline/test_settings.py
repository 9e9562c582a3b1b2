"""Settings: the last of experiment, options and overrides wins, and errors name key, value and what is allowed."""

import csv

import pytest

from models.errors import InputError
from pipeline.experiments import catalogue, find_experiment
from pipeline.settings import resolve_settings

OPTIONS = {"data.pattern": "/data", "data.split": "file:80/10/10", "out": "/runs/x"}


def resolve(*overrides, **options):
    return resolve_settings(find_experiment("average-2304-1152"), OPTIONS | options, overrides)


def test_the_experiment_gives_what_nobody_overrides():
    settings = resolve()
    assert settings.model.hidden_units == (2304, 1152)
    assert (settings.training.learning_rate, settings.training.decay_rate) == (1e-4, 1.0)
    assert settings.published.f1_test == 0.776
    assert (settings.seed, settings.data.classes) == (0, 3862)


def test_overrides_win_over_options_and_experiment():
    settings = resolve("training.max_epochs=3", "model.hidden_units=[8, 4]", "seed=2", seed=1)
    assert (settings.training.max_epochs, settings.model.hidden_units, settings.seed) == (3, (8, 4), 2)


def test_what_was_resolved_resolves_again():
    settings = resolve("evaluation.min_f1=0.5")
    assert type(settings).model_validate(settings.model_dump(mode="json")) == settings


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.max_epochs=0", "training.max_epochs is 0: input should be greater than 0"),
        ("training.max_epoch=3", "training.max_epoch is no setting"),
        ("training.precision=fp8", "training.precision is 'fp8': input should be 'float32', 'mixed_bfloat16' or"),
        ("model.encoder.name=lstn", "model.encoder is {'name': 'lstn'}: input tag 'lstn' found using 'name' does not"),
        ("model.hidden_units_audio=[4]", "hidden_units_audio needs two_stream: true"),
        ("evaluation.min_f1=2", "evaluation.min_f1 is 2: input should be less than or equal to 1"),
        ("beam.runner=Flink", "beam.runner is 'Flink': input should be 'DirectRunner' or 'FnApiRunner'"),
        ("seed.x=1", "seed.x is no setting: seed has no parts"),
        ("max_epochs", "--set is 'max_epochs', expected key=value"),
        ("seed=[1", "--set seed: '[1' is not YAML"),
    ],
)
def test_a_wrong_setting_is_one_line(override, message):
    with pytest.raises(InputError) as error:
        resolve(override, seed=0)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_an_unknown_experiment_names_the_closest():
    with pytest.raises(InputError, match="experiment is 'netvlad-9', allowed: netvlad-8"):
        find_experiment("netvlad-9")


def test_aliases_name_experiments():
    assert find_experiment("thesis-best") is catalogue()["netvlad-100-gated-6000-3000-dropout35"]


def test_the_thesis_rows_say_what_it_published(real_data):
    results = real_data.parent / "thesis" / "results.csv"
    if not results.exists():
        pytest.skip(f"the thesis' results are not at hand ({results})")
    with results.open() as file:
        published = {row["name"]: row for row in csv.DictReader(file)}
    for experiment in catalogue().values():
        if experiment.published is None:
            assert experiment.name not in published
            continue
        row = published[experiment.name]
        assert experiment.published.model_dump() == {
            "table": int(row["table"]),
            "row": int(row["row"]),
            "f1_train": float(row["f1_train"]),
            "f1_test": float(row["f1_test"]),
        }
        assert experiment.level == row["dataset"]
        assert experiment.training.learning_rate == float(row["learning_rate"])
        assert "-".join(map(str, experiment.model.hidden_units)) == row["hidden_units"]
        assert experiment.model.two_stream == (row["two_stream"] == "yes")
        assert experiment.model.context_gating == (row["context_gating"] == "yes")
        assert experiment.model.dropout == float(row["dropout"] or 0)
