"""A run's parameters resolve to the settings of `yt8m run` with the same arguments."""

import json
import zipfile

import pytest
import tensorflow as tf
from tfx.dsl.components.base.base_component import BaseComponent

from components.example_gen.synthetic import SyntheticData
from models.errors import InputError
from models.vocabulary import Vocabulary
from pipeline.create_pipeline import create_pipeline
from pipeline.experiments import catalogue, find_experiment
from pipeline.kubeflow.container.step import exec_properties
from pipeline.kubeflow.graph import Places, build_pipeline, edges
from pipeline.kubeflow.parameters import (
    DATA_SETTINGS,
    RUN_SETTINGS,
    TEACHER_SETTINGS,
    ResolvedSettings,
    read_parameters,
    resolve_parameters,
    settings_output,
)
from pipeline.settings import resolve_settings
from pipeline.steps import PER_EXPERIMENT, TRAITS

PLACES = Places("/serving", "/work")


@pytest.mark.parametrize(
    "overrides",
    [
        '["training.max_epochs=3", "evaluation.thresholds.gap.min=0.8"]',
        '{"training.max_epochs": 3, "evaluation.thresholds.gap.min": 0.8}',
    ],
)
def test_overrides_are_a_list_or_an_object_and_work_like_set(overrides):
    options = ["training.max_epochs=3", "evaluation.thresholds.gap.min=0.8"]
    expected = resolve_settings(find_experiment("netvlad-8"), {"data.pattern": "/data"}, options)
    assert read_parameters("/data", "netvlad-8", overrides) == expected


@pytest.mark.parametrize("overrides", ["", "[]", "{}"])
def test_overrides_may_be_empty(overrides):
    assert read_parameters("/data", "netvlad-8", overrides).training.max_epochs == 100


@pytest.mark.parametrize(
    ("experiment", "overrides", "message"),
    [
        ("netvlad-9", "[]", "experiment is 'netvlad-9', allowed: netvlad-8"),
        ("a: {base: netvlad-8}\nb: {base: netvlad-8}", "[]", "expected a name or one entry of an experiment file"),
        ("mine: {base: netvlad-9}", "[]", "experiment, mine: base is 'netvlad-9', allowed: earlier experiments"),
        ("netvlad-8", "training.max_epochs=3", "overrides is 'training.max_epochs=3': not JSON"),
        ("netvlad-8", "3", "overrides is '3', expected a JSON list of key=value or an object"),
        ("netvlad-8", '["training.max_epoch=3"]', "allowed: max_epochs"),
        ("netvlad-8", '{"training.batch_size": 0}', "training.batch_size is 0"),
    ],
)
def test_a_wrong_parameter_is_refused_with_what_is_allowed(experiment, overrides, message):
    with pytest.raises(InputError, match=message):
        read_parameters("/data", experiment, overrides)


@pytest.fixture
def shards(tmp_path, frame_record, write_shard):
    """Spans 1 and 2 of ten shards each."""
    for span in (1, 2):
        for number in range(10):
            write_shard(tmp_path / f"span-{span}" / f"{number}.tfrecord", [frame_record(f"v{span}{number:02}")])
    return tmp_path


def graph_of(experiment, *overrides):
    settings = resolve_settings(find_experiment(experiment), {"data.pattern": "/data"}, overrides)
    return edges(build_pipeline(settings, Vocabulary.of_ids(3), PLACES))


def resolved(data, experiment="netvlad-8", overrides="[]", graph=None):
    return resolve_parameters(str(data), experiment, overrides, PLACES, graph or graph_of("netvlad-8"))


def test_the_first_step_resolves_the_newest_span_for_all_steps(shards):
    output = resolved(shards / "span-{SPAN}" / "*.tfrecord")
    assert (output.span, output.settings.data.pattern) == (2, str(shards / "span-2" / "*.tfrecord"))


def test_the_first_step_resolves_several_spans_for_all_steps(shards):
    output = resolved(shards / "span-{SPAN}" / "*.tfrecord", overrides='["data.spans=2"]')
    assert (output.span, output.settings.data.pattern) == (2, str(shards / "span-{2,1}" / "*.tfrecord"))
    assert ResolvedSettings.model_validate_json(output.for_steps()[DATA_SETTINGS]).settings.data == output.settings.data


def test_the_first_step_resolves_the_data_of_a_split_for_all_steps(shards, frame_record, write_shard):
    def resolve():
        overrides = {"data.validation_data": f"{shards}/held-{{SPAN}}", "data.test_data": f"{shards}/test"}
        output = resolved(shards / "span-{SPAN}" / "*.tfrecord", overrides=json.dumps(overrides))
        data = ResolvedSettings.model_validate_json(output.for_steps()[DATA_SETTINGS]).settings.data
        assert (data.validation_data, data.test_data, data.split) == (f"{shards}/held-5", f"{shards}/test", "file:100")
        return output

    write_shard(shards / "held-5" / "a.tfrecord", [frame_record("h1")])
    write_shard(shards / "test" / "a.tfrecord", [frame_record("t1")])
    before = resolve()
    pipeline = build_pipeline(before.settings, Vocabulary.of_ids(3), PLACES)
    assert exec_properties(pipeline, "ExampleGen")["validation_data"] == f"{shards}/held-5"
    write_shard(shards / "held-5" / "b.tfrecord", [frame_record("h2")])
    assert resolve().shards != before.shards


def test_the_first_step_resolves_the_model_of_a_warm_start(shards):
    def warm_start():
        places = Places(str(shards / "serving"), "/work")
        output = resolve_parameters(
            str(shards / "span-1"), "netvlad-8", '["training.warm_start=true"]', places, graph_of("netvlad-8")
        )
        return output.settings.training.warm_start, output.for_steps()[DATA_SETTINGS]

    model = find_experiment("netvlad-8").model.model_dump(mode="json")
    model_path, of_the_data = warm_start()
    assert model_path is False
    for version in ("9", "10"):
        folder = shards / "serving" / version
        tf.saved_model.save(tf.train.Checkpoint(weights=tf.Variable(1.0)), str(folder))
        extra = folder / "assets.extra"
        extra.mkdir()
        (extra / "model_card.json").write_text(json.dumps({"level": "frame", "model_id": version, "model": model}))
        with zipfile.ZipFile(extra / "model.keras", "w") as file:
            for part in ("config.json", "model.weights.h5"):
                file.writestr(part, "")
        (extra / "labels.txt").write_text("".join(f"{label}\n" for label in range(3862)))
        assert warm_start() == (str(extra.parent), of_the_data)


def test_changed_shards_and_a_changed_vocabulary_change_the_resolved_settings(shards, frame_record, write_shard):
    before = resolved(shards / "span-1")
    assert resolved(shards / "span-1") == before
    (shards / "span-1" / "vocabulary.csv").write_text("Index,Name\n0,Game\n")
    with_names = resolved(shards / "span-1")
    assert (with_names.shards, with_names.vocabulary == before.vocabulary) == (before.shards, False)
    write_shard(shards / "span-1" / "11.tfrecord", [frame_record("v111")])
    assert resolved(shards / "span-1").shards != before.shards


def test_the_first_step_looks_up_what_lies_beside_the_shards(shards):
    none = resolved(shards / "span-1")
    assert (none.settings.data.vocabulary, none.settings.data.classes, none.synthetic) == ("", 3862, None)
    (shards / "span-1" / "vocabulary.csv").write_text("Index,Name\n0,Game\n")
    (shards / "span-1" / "oracle.json").write_text('{"synthetic": true}')
    found = resolved(shards / "span-1")
    assert found.settings.data.vocabulary == f"{shards}/span-1/vocabulary.csv"
    assert (found.settings.data.classes, found.shards) == (1, none.shards)
    of_the_data = ResolvedSettings.model_validate_json(found.for_steps()[DATA_SETTINGS])
    assert found.synthetic == of_the_data.synthetic == SyntheticData(synthetic=True)
    assert of_the_data.settings.data == found.settings.data
    given = resolved(shards / "span-1", overrides=json.dumps([f"data.vocabulary={found.settings.data.vocabulary}"]))
    assert given == found


def test_what_marks_shards_as_synthetic_runs_only_the_statistics_and_the_search_again():
    settings = resolve_settings(find_experiment("netvlad-8"), {"data.pattern": "/data", "search": True})
    real, marked = (
        build_pipeline(settings, Vocabulary.of_ids(3), PLACES, synthetic)
        for synthetic in (None, SyntheticData(synthetic=True))
    )
    steps = [node.id for node in real.components if isinstance(node, BaseComponent)]
    changed = {step for step in steps if exec_properties(real, step) != exec_properties(marked, step)}
    assert changed == {"DatasetStatistics", "Tuner"}


def test_level_and_seed_may_change_where_the_graph_stays_the_same(shards):
    output = resolved(shards / "span-1", "dbof-4096-gated", '["seed=3", "training.max_epochs=1"]')
    assert (output.settings.experiment, output.settings.seed) == ("dbof-4096-gated", 3)


@pytest.mark.parametrize(
    ("experiment", "overrides", "edge"),
    [
        ("frame-average-2304-1152", [], "missing: Transform.transformed_examples -> Trainer.examples; not needed: Ex"),
        ("netvlad-8", ["search=true"], "Tuner.best_hyperparameters -> Trainer.hyperparameters"),
        ("netvlad-8", ["hyperparameters=s3://bucket/found"], "s3://bucket/found -> ImportHyperparameters"),
    ],
)
def test_the_first_step_refuses_settings_that_need_another_graph(shards, experiment, overrides, edge):
    with pytest.raises(InputError) as error:
        resolved(shards / "span-1", experiment, json.dumps(overrides))
    assert edge in str(error.value) and "compile a package with this experiment" in str(error.value)


def test_the_first_step_refuses_records_of_another_level(shards):
    with pytest.raises(InputError, match="holds frame-level records, the experiment reads video-level ones"):
        resolved(shards / "span-1", "average-2304-1152", graph=graph_of("average-2304-1152"))


def test_resolved_settings_survive_json(shards):
    output = resolved(shards / "span-1", overrides='["evaluation.thresholds.gap.min=0.8", "data.drift.stop=true"]')
    assert ResolvedSettings.model_validate_json(output.for_steps()[RUN_SETTINGS]) == output


def changed_by(override, *base):
    """Steps whose settings or properties differ for a run with the override, by KFP's cache and by a local run's."""
    of_both = []
    for overrides in (base, (*base, override)):
        settings = resolve_settings(find_experiment("netvlad-8"), {"data.pattern": "/data"}, overrides)
        output = ResolvedSettings(settings=settings, span=0, shards="", vocabulary="", synthetic=None, sources="")
        pipeline = create_pipeline(
            settings,
            Vocabulary.of_ids(3),
            None,
            pipeline_root="",
            push_directory="",
            checkpoint_dir="",
            tune_dir="",
            log_dir="",
        )
        steps = [node.id for node in pipeline.components if isinstance(node, BaseComponent)]
        in_kubeflow = {step: output.for_steps()[settings_output(step)] for step in steps}
        of_both.append((in_kubeflow, {step: exec_properties(pipeline, step) for step in steps}))
    (kubeflow, local), (other_kubeflow, other_local) = of_both
    return (
        {step for step in kubeflow if kubeflow[step] != other_kubeflow[step] and TRAITS[step].cached},
        {step for step in local if local[step] != other_local[step]},
    )


@pytest.mark.parametrize(
    ("override", "kubeflow", "local"),
    [
        ("evaluation.thresholds.gap.min=0.8", {"Evaluator"}, {"Evaluator"}),
        ("evaluation.floor=false", {"Evaluator"}, {"Evaluator"}),
        ("data.drift.stop=true", set(), {"DriftDetector"}),
        ("tune.max_trials=3", set(), set()),
    ],
)
def test_a_setting_runs_only_the_steps_again_that_read_it(override, kubeflow, local):
    assert changed_by(override) == (kubeflow, local)


def test_a_search_runs_again_for_its_own_settings_only():
    in_kubeflow, local = changed_by("tune.max_trials=3", "search=true")
    assert {"Tuner"} <= in_kubeflow <= {"Tuner", "Trainer", "Evaluator"} and local == {"Tuner"}
    assert changed_by("beam.workers=2", "search=true")[0].isdisjoint({"Tuner", "Trainer"})


def test_teachers_predict_again_only_for_other_data_or_teachers():
    teachers = "training.teachers=[/mnt/a]"
    for override in ("training.learning_rate=0.1", "training.teacher_weight=0.1", "model.hidden_units=[3]"):
        in_kubeflow, local = changed_by(override, teachers)
        assert "Trainer" in in_kubeflow & local and "TeacherPredictions" not in in_kubeflow | local
    for override in ("training.teachers=[/mnt/b]", "seed=3"):
        assert "TeacherPredictions" in changed_by(override, teachers)[0]
    in_kubeflow, local = changed_by("training.teachers=[/mnt/b]", teachers, "search=true")
    assert {"TeacherPredictions", "Tuner", "Trainer"} <= in_kubeflow <= {*local, "Evaluator"}
    settings = resolve_settings(find_experiment("netvlad-8"), {"data.pattern": "/data"}, [teachers])
    views = [
        ResolvedSettings(
            settings=settings, span=0, shards="", vocabulary="", synthetic=None, sources="", teachers=(model,)
        ).for_steps()
        for model in ("before", "after")
    ]
    assert {name for name in views[0] if views[0][name] != views[1][name]} == {TEACHER_SETTINGS, RUN_SETTINGS}


@pytest.mark.parametrize(
    "overrides", [[], ["search=true"], ["hyperparameters=s3://bucket/found"], ["training.teachers=[/mnt/a]"]]
)
def test_each_step_has_the_same_properties_with_the_settings_that_it_gets(overrides):
    options = {"data.pattern": "/data", "data.drift.stop": True, "evaluation.slices": ["channel"], "seed": 3}
    settings = resolve_settings(
        find_experiment("netvlad-8"), options, ["evaluation.thresholds.gap.min=0.8", "tune.max_trials=3", *overrides]
    )
    output = ResolvedSettings(settings=settings, span=0, shards="", vocabulary="", synthetic=None, sources="")
    own = build_pipeline(settings, Vocabulary.of_ids(3), Places("/serving", ""))
    for name, text in output.for_steps().items():
        view = ResolvedSettings.model_validate_json(text).settings
        pipeline = build_pipeline(view, Vocabulary.of_ids(3), Places("/serving", ""))
        assert name in (DATA_SETTINGS, TEACHER_SETTINGS) or edges(pipeline) == edges(own)
        for node in own.components:
            if isinstance(node, BaseComponent) and settings_output(node.id) == name:
                assert exec_properties(own, node.id) == exec_properties(pipeline, node.id)


def one_of_every_encoder():
    return list({experiment.model.encoder.name: experiment.name for experiment in catalogue().values()}.values())


@pytest.mark.parametrize("experiment", one_of_every_encoder())
def test_the_steps_before_training_have_the_same_properties_without_the_experiment(experiment):
    options = {"data.pattern": "/data", "evaluation.slices": ["channel"], "data.drift.stop": True, "seed": 3}
    settings = resolve_settings(find_experiment(experiment), options, ["evaluation.thresholds.gap.min=0.8"])
    output = ResolvedSettings(settings=settings, span=0, shards="", vocabulary="", synthetic=None, sources="")
    shared = ResolvedSettings.model_validate_json(output.for_steps()[DATA_SETTINGS]).settings
    assert shared.experiment == "" and shared.model.encoder.name == "average"
    own, of_all = (build_pipeline(resolved, Vocabulary.of_ids(3), PLACES) for resolved in (settings, shared))
    before = [node.id for node in own.components if node.id not in PER_EXPERIMENT]
    assert "ExampleGen" in before and "Transform" in before
    for step in before:
        assert exec_properties(own, step) == exec_properties(of_all, step)
