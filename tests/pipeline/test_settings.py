"""Settings: overrides win over options, options over the experiment; errors name key, value and what is allowed."""

import pytest

from models.errors import InputError
from pipeline.experiments import find_experiment
from pipeline.settings import resolve_settings

OPTIONS = {"data.pattern": "/data", "data.split": "file:80/10/10", "out": "/runs/x"}


def resolve(*overrides, **options):
    return resolve_settings(find_experiment("average-2304-1152"), OPTIONS | options, overrides)


def test_the_experiment_gives_the_settings_without_overrides():
    settings = resolve()
    assert settings.model.hidden_units == (2304, 1152)
    assert (settings.training.learning_rate, settings.training.decay_rate) == (1e-4, 1.0)
    assert settings.published.f1_test == 0.776
    assert (settings.seed, settings.data.classes) == (0, 3862)


def test_overrides_win_over_options_and_experiment():
    settings = resolve("training.max_epochs=3", "model.hidden_units=[8, 4]", "seed=2", seed=1)
    assert (settings.training.max_epochs, settings.model.hidden_units, settings.seed) == (3, (8, 4), 2)


def test_keys_of_an_absent_optional_part_can_be_set_one_by_one():
    settings = resolve("tune.max_trials=5", "tune.oracle=grid", "search=true")
    assert (settings.tuner.max_trials, settings.tuner.oracle, settings.tuner.max_epochs) == (5, "grid", 3)
    assert "model.hidden_units" in settings.tuner.space


def test_a_model_must_not_be_worse_than_the_champion_by_default():
    settings = resolve("evaluation.thresholds.gap.min=0.8", "evaluation.thresholds.f1@num_labels:1.min=0.3")
    assert settings.evaluation.model_dump(exclude_none=True)["thresholds"] == {
        "gap": {"min": 0.8},
        "f1@num_labels:1": {"min": 0.3},
        "f1": {"min_change": 0.0},
    }
    lenient = resolve("evaluation.thresholds.f1={min: 0.5, min_change: null}")
    assert lenient.evaluation.thresholds["f1"].min_change is None
    assert resolve().evaluation.thresholds["f1"].min_change == 0.0


def test_resolved_settings_resolve_to_themselves():
    settings = resolve("evaluation.thresholds.f1.min=0.5")
    assert type(settings).model_validate(settings.model_dump(mode="json")) == settings


@pytest.mark.parametrize(
    ("own", "split"),
    [
        ((), "file:80/10/10"),
        (("test",), "file:90/10"),
        (("validation",), "file:90/10"),
        (("validation", "test"), "file:100"),
    ],
)
def test_the_default_split_has_a_share_for_each_split_without_data_of_its_own(own, split):
    settings = resolve(**{"data.split": None}, **{f"data.{name}_data": "/held" for name in own})
    assert settings.data.split == split
    assert type(settings).model_validate(settings.model_dump(mode="json")) == settings


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.max_epochs=0", "training.max_epochs is 0: input should be greater than 0"),
        ("seed=-1", "seed is -1: input should be greater than or equal to 0"),
        ("seed=4294967295", "seed is 4294967295: input should be less than or equal to 4294967294"),
        ("evaluation.thresholds.f1.min=.nan", "evaluation.thresholds.f1.min is nan: input should be a finite number"),
        ("training.learning_rate=.inf", "training.learning_rate is inf: input should be a finite number"),
        ("training.max_epoch=3", "training.max_epoch is not a setting, allowed: max_epochs"),
        ("model.encoder.unit=3", "model.encoder.unit is not a setting, allowed: name"),
        (
            "data.xyz=3",
            "data.xyz is not a setting, allowed: pattern, validation_data, test_data, spans, ",
        ),
        ("training.precision=fp8", "training.precision is 'fp8': input should be 'float32', 'mixed_bfloat16' or"),
        ("model.encoder.name=lstn", "model.encoder.name is 'lstn', allowed: average, neighbours, lstm, gru, trans"),
        ("model.encoder={units: 3}", "model.encoder.name is missing"),
        ("model.encoder=lstm", "model.encoder is 'lstm', expected keys with values"),
        ("model.encoder={name: lstm}", "model.encoder.units is missing"),
        ("model.hidden_units=[4, 0]", "model.hidden_units.1 is 0: input should be greater than 0"),
        ("data.validation_data=/v", "split is 'file:80/10/10', allowed with validation data: file:90/10 or id:90/10"),
        ("data.validation_data=3", "data.validation_data is 3: input should be a valid string"),
        ("data.spans=2", "data: spans is 2, allowed without {SPAN} in the pattern of the data: 1"),
        ("training=fast", "training is 'fast', expected keys with values"),
        ("model.dropout=" + "x" * 200, "model.dropout is '" + "x" * 76 + "...: input should be a valid number"),
        ("model.hidden_units_audio=[4]", "model: hidden_units_audio needs two_stream: true"),
        ("training.frame_sampling=random", "training.frame_sampling is 'random', allowed with encoder average, which"),
        ("evaluation.thresholds.f1.min=good", "evaluation.thresholds.f1.min is 'good': input should be a valid number"),
        ("evaluation.thresholds.f2.min=0.5", "evaluation.thresholds: there is no metric 'f2', allowed: f1, precision"),
        ("evaluation.thresholds=0.5", "evaluation.thresholds is 0.5"),
        ("evaluation.thresholds.map_at_k.min=0.5", "map_at_k is a score of rated segments, which need level: segment"),
        (
            "evaluation.thresholds.f1@num_labels:abc.min=0.5",
            "evaluation.thresholds: 'f1@num_labels:abc': num_labels is never 'abc', allowed: 1, 2, 3, 4, 5+",
        ),
        (
            "evaluation.thresholds.f1@channel:news.min=0.5",
            "'f1@channel:news': video-level records are not sliced by 'channel', allowed: num_labels; or add it to",
        ),
        (
            "beam.runner=Flink",
            "beam.runner is 'Flink': input should be 'DirectRunner', 'FnApiRunner', 'PortableRunner' or",
        ),
        ("seed.x=1", "seed.x is not a setting: seed has no parts"),
        ("training.warm_start=1", "training.warm_start: expected true, false or the folder of a pushed model, found 1"),
        ("model.encoder={name: neighbours}", "model: hidden_units cannot be set with encoder neighbours"),
        ("training.teachers=runs/a", "training.teachers is 'runs/a'"),
        ("training.teacher_weight=0.3", "training: teacher_weight is 0.3, which needs teachers"),
        ("max_epochs", "--set is 'max_epochs', expected key=value"),
        ("seed=[1", "--set seed is '[1', line 2: not YAML: did not find expected ',' or ']'"),
    ],
)
def test_a_wrong_setting_is_one_line(override, message):
    with pytest.raises(InputError) as error:
        resolve(override, seed=0)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_trials_of_a_search_start_from_random_weights():
    with pytest.raises(InputError, match=r"search is true, allowed with training.warm_start: false"):
        resolve("search=true", "training.warm_start=true")


@pytest.mark.parametrize(
    ("experiment", "override", "message"),
    [
        (
            "average-2304-1152",
            "model.encoder={name: lstm, units: 8}",
            "model.encoder.name is 'lstm', which needs level",
        ),
        ("ensemble", "level=video", None),
        ("netvlad-8", "training.sampled_frames=30", "sampled_frames is 30, which needs frame_sampling"),
        (
            "frame-average-3862",
            "training.frame_sampling=random",
            "allowed with encoder average, which reads means: all",
        ),
        ("ensemble", "training.teachers=[a]", "training.teachers is set, allowed with encoder ensemble: none"),
        ("ensemble", "training.warm_start=true", "training.warm_start is True, allowed with encoder ensemble: false"),
        (
            "average-2304-1152",
            "evaluation.thresholds.f1@num_frames:001-060.min=0.5",
            "video-level records are not sliced by 'num_frames', allowed: num_labels; or add it to",
        ),
        ("gru-2x400", "training.jit_compile=true", "training.jit_compile is true, allowed with encoder gru: false"),
    ],
)
def test_settings_that_do_not_fit_records_or_encoder_are_refused(experiment, override, message):
    def resolved():
        return resolve_settings(find_experiment(experiment), OPTIONS, [override])

    if message is None:
        assert resolved().level == "video"
        return
    with pytest.raises(InputError, match=message):
        resolved()
