"""The compiled pipeline runs end to end, scores the same as a local run, and fails with clear messages."""

import json
import re
import shutil
from signal import Signals
from typing import NamedTuple

import pytest

from components.served_models import versions
from kfp_emulator.emulator import Emulator, Fault, Run
from kfp_emulator.sdk_runner import run_locally
from models.training.log import TrainingLog
from pipeline.kubeflow.compile.package import compile_package
from pipeline.kubeflow.compile.settings import ClusterSettings
from pipeline.kubeflow.log_lines import RESULT, SCORES, find_line

# Imported before steps are forked; a step imports what only it needs.
PRELOAD = ("pipeline.kubeflow.container.step", "pipeline.kubeflow.parameters")

VOLUME = "/mnt/yt8m"

# The steps before training, the same for all experiments on the same data.
DATA_STEPS = {"ExampleGen", "DatasetStatistics", "ImportSchemaGen", "StatisticsGen", "ExampleValidator", "Transform"}


@pytest.fixture(scope="module")
def volume(tmp_path_factory, frames):
    """The folder behind the volume claim, with the data of `finished_run`."""
    folder = tmp_path_factory.mktemp("volume")
    shutil.copytree(frames, folder / "frames")
    return folder


@pytest.fixture(scope="module")
def cluster(pods_allowed, tmp_path_factory, volume):
    folder = tmp_path_factory.mktemp("cluster")
    with Emulator(folder, preload=PRELOAD, claims={"yt8m": volume}, strict_outputs=True, cache=True) as emulator:
        yield emulator


@pytest.fixture(scope="module")
def settings():
    return ClusterSettings.model_validate(
        {
            "image": "registry.example/yt8m:0.1.0",
            "pipeline_root": "minio://mlpipeline/v2/artifacts",
            "push_directory": f"{VOLUME}/serving",
            "work_directory": f"{VOLUME}/work",
            "volumes": [{"claim": "yt8m", "path": VOLUME}],
            "retries": {"max_retries": 1},
        }
    )


@pytest.fixture(scope="module")
def overrides(finished_run):
    """Returns the overrides of the local run, followed by others, which take precedence."""
    local = [word for word in finished_run.arguments if word != "--set"]
    return lambda *more: [*local, *more]


@pytest.fixture(scope="module")
def package(tmp_path_factory, settings, overrides):
    path = tmp_path_factory.mktemp("package") / "package.yaml"
    path.write_text(compile_package(settings, f"{VOLUME}/frames", "netvlad-8", overrides()))
    return path


class Succeeded(NamedTuple):
    """A run that succeeded, and the pushed versions after it."""

    run: Run
    versions: list[str]


@pytest.fixture(scope="module")
def first(cluster, package, volume):
    """A run without faults."""
    run = cluster.run(package)
    assert run.state == "SUCCEEDED", run.summary()
    return Succeeded(run, versions(str(volume / "serving")))


@pytest.fixture(scope="module")
def second(first, cluster, package, overrides, volume):
    """A run with another training on the same data."""
    run = cluster.run(package, {"overrides": json.dumps(overrides("training.max_epochs=1"))})
    assert run.state == "SUCCEEDED", run.summary()
    return Succeeded(run, versions(str(volume / "serving")))


@pytest.fixture
def empty_push_directory(volume, first):
    """Moves the pushed models away for the duration of a test."""
    serving, moved = volume / "serving", volume / "serving-moved"
    serving.rename(moved)
    yield
    shutil.rmtree(serving, ignore_errors=True)
    moved.rename(serving)


def test_a_first_model_has_no_champion_and_is_pushed(first):
    tasks = first.run.tasks
    assert first.versions == [tasks["Pusher"].outputs["pushed_model"].metadata["pushed_version"]]
    assert tasks["ChampionResolver"].outputs["champion"].metadata["champion_version"] == ""


def test_an_identical_resubmission_neither_trains_nor_pushes(first, cluster, package, volume):
    run = cluster.run(package)
    assert run.state == "SUCCEEDED", run.summary()
    assert {name for name, task in run.tasks.items() if task.cached} == DATA_STEPS | {"Trainer"}
    assert run.tasks["Pusher"].outputs["pushed_model"].metadata["pushed"] == 0
    assert versions(str(volume / "serving")) == first.versions


@pytest.mark.cluster
def test_another_threshold_evaluates_again_without_training(first, cluster, package, overrides, volume):
    run = cluster.run(package, {"overrides": json.dumps(overrides("evaluation.thresholds.gap.min=1"))})
    assert run.state == "SUCCEEDED", run.summary()
    assert run.tasks["Trainer"].cached and not run.tasks["Evaluator"].cached
    assert run.tasks["Evaluator"].outputs["blessing"].metadata["blessed"] == 0


def test_the_package_scores_the_same_as_a_local_run(first, finished_run):
    splits, evaluator = finished_run.scores["splits"], first.run.tasks["Evaluator"]
    scores = evaluator.outputs["scores"]
    expected = {name: score for name, score in splits["test"].items() if isinstance(score, float)}
    assert scores.type == "system.Metrics" and {"f1", "precision", "recall", "gap"} <= expected.keys()
    assert {name: scores.metadata[name] for name in expected} == pytest.approx(expected, abs=1e-6)
    logged = find_line(SCORES, evaluator.log)
    assert "f1" in logged and logged.items() <= scores.metadata.items()

    result = find_line(RESULT, evaluator.log)
    f1 = {split: result["scores"]["splits"][split]["f1"] for split in ("train", "validation")}
    assert f1 == pytest.approx({split: splits[split]["f1"] for split in f1}, abs=1e-6)
    assert result["scores"]["synthetic"] and result["settings"]["experiment"] == "netvlad-8"
    assert TrainingLog.from_json(json.dumps(result["training_log"])).epochs[1].epoch == 1


@pytest.mark.cluster
def test_another_training_takes_data_steps_from_the_cache_and_is_compared_with_the_champion(first, second, cluster):
    tasks, [version] = second.run.tasks, first.versions
    assert {name for name, task in tasks.items() if task.cached} == DATA_STEPS
    assert tasks["ChampionResolver"].outputs["champion"].metadata["champion_version"] == version
    verdict = cluster.store.path(tasks["Evaluator"].outputs["evaluation"].uri) / "verdict.json"
    assert json.loads(verdict.read_text())["champion_version"] == version
    blessed = tasks["Evaluator"].outputs["blessing"].metadata["blessed"]
    assert len(second.versions) == 1 + int(blessed)


def test_the_logs_of_all_steps_are_for_people(first):
    for task in first.run.tasks.values():
        for line in task.log.splitlines():
            # A forked step has TensorFlow's line about a missing GPU, if any, from this machine.
            assert re.match(r"(INFO|WARNING|ERROR) (pipeline|models|tuner|components)\.|[WE]0000 ", line), task.name
        assert len(task.log.splitlines()) < 20


def test_every_page_is_one_file_without_external_resources(first, cluster):
    pages = {
        name: cluster.store.path(task.outputs["page"].uri).read_text()
        for name, task in first.run.tasks.items()
        if "page" in task.outputs and task.outputs["page"].type == "system.HTML"
    }
    assert pages.keys() == {"DatasetStatistics", "ExampleValidator", "DriftDetector", "Trainer", "Evaluator"}
    for page in pages.values():
        assert "<html" in page and "could not be rendered" not in page and "mathdefault" not in page
        # KFP's UI shows it in a frame without an origin: nothing else can be loaded.
        assert not re.search(r"<(script|iframe|object|embed|img|link(?! rel=.icon. href=.data:))|\bsrc=|@import", page)
        assert set(re.findall(r'href="([^"#]*)', page)) <= {"data:,", ""} and not re.search(r"url\((?!#)", page)
        assert "Synthetic data." in page


@pytest.mark.cluster
def test_the_package_runs_under_the_sdk_too(package, first, empty_push_directory, volume, tmp_path):
    run = run_locally(package, tmp_path, preload=PRELOAD, mounts={VOLUME: volume})
    scores = json.loads((run.output("Evaluator", "evaluation") / "verdict.json").read_text())["slices"][0]["scores"]
    expected = first.run.tasks["Evaluator"].outputs["scores"].metadata
    assert {name: scores[name] for name in scores if name in expected} == pytest.approx(
        {name: expected[name] for name in scores if name in expected}, abs=1e-6
    )
    assert (run.output("Trainer", "page")).read_text().startswith("<!doctype html>")


@pytest.mark.cluster
def test_a_search_shows_its_trials_and_its_result_can_be_imported(cluster, settings, overrides, tmp_path):
    small = ["tune.max_trials=1", "tune.max_epochs=1", "tune.oracle=random", "search=true"]
    path = tmp_path / "package.yaml"
    path.write_text(compile_package(settings, f"{VOLUME}/frames", "netvlad-8", overrides(*small)))
    run = cluster.run(path, tasks=["Trainer"])
    assert run.state == "SUCCEEDED", run.summary()
    tuner = run.tasks["Tuner"]
    page = cluster.store.path(tuner.outputs["page"].uri).read_text()
    assert "1 of 1 trial scored" in page and "Synthetic data." in page
    imported = f"hyperparameters={tuner.outputs['best_hyperparameters'].uri}"
    path.write_text(compile_package(settings, f"{VOLUME}/frames", "netvlad-8", overrides(imported)))
    run = cluster.run(path, tasks=["Trainer"])
    assert run.state == "SUCCEEDED", run.summary()
    assert "ImportHyperparameters" in run.tasks


@pytest.mark.cluster
def test_a_student_and_its_search_learn_from_a_pushed_model(first, cluster, settings, overrides, tmp_path):
    small = ["tune.max_trials=1", "tune.max_epochs=1", "tune.oracle=random", "search=true", "training.max_epochs=1"]
    taught = overrides(f"training.teachers=[{VOLUME}/serving]", *small)
    path = tmp_path / "package.yaml"
    path.write_text(compile_package(settings, f"{VOLUME}/frames", "netvlad-8", taught))
    run = cluster.run(path, tasks=["Trainer"])
    assert run.state == "SUCCEEDED", run.summary()
    assert {name for name, task in run.tasks.items() if task.cached} == DATA_STEPS - {
        "StatisticsGen",
        "ExampleValidator",
    }
    card = cluster.store.path(run.tasks["Trainer"].outputs["model"].uri) / "Format-Serving/assets.extra/model_card.json"
    [version] = json.loads(card.read_text())["training"]["teachers"]
    assert version == f"{VOLUME}/serving/{first.versions[-1]}"
    run = cluster.run(path, {"overrides": json.dumps([*taught, "training.teacher_weight=0.1"])}, tasks=["Trainer"])
    assert run.state == "SUCCEEDED", run.summary()
    assert run.tasks["TeacherPredictions"].cached and not run.tasks["Trainer"].cached


def error_lines(task):
    """The last line of each failed attempt."""
    return [line for line in task.log.splitlines() if line.startswith("error: ")]


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"data": f"{VOLUME}/nothing"}, "data: no file matches '/mnt/yt8m/nothing'"),
        ({"experiment": "netvlad-9"}, "experiment is 'netvlad-9', allowed: netvlad-8"),
        (
            {"experiment": "average-2304-1152", "overrides": "[]"},
            "holds frame-level records, the experiment reads video-level ones",
        ),
        ({"experiment": "frame-average-2304-1152", "overrides": "[]"}, "compile a package with this experiment"),
        ({"overrides": '["training.max_epoch=3"]'}, "allowed: max_epochs"),
    ],
)
def test_a_wrong_parameter_ends_a_run_before_any_work_with_one_line(cluster, package, parameters, message):
    run = cluster.run(package, parameters)
    states = {name: task.state for name, task in run.tasks.items()}
    assert states == dict.fromkeys(states, "SKIPPED") | {"ResolveSettings": "FAILED"}
    assert message in error_lines(run.tasks["ResolveSettings"])[0]
    assert "Traceback" not in run.tasks["ResolveSettings"].log


@pytest.mark.cluster
@pytest.mark.parametrize(("signal", "seed"), [(Signals.SIGKILL, 1), (Signals.SIGTERM, 2)])
def test_a_killed_training_resumes_in_its_next_attempt(first, cluster, package, overrides, signal, seed):
    # Another number of epochs makes another training on the same data.
    other = json.dumps(overrides(f"training.max_epochs={4 + seed}"))
    # The first epoch has been saved. Kubernetes allows 30 s, a slow machine gets more.
    fault = Fault("Trainer", after="epoch 2: ", signal=signal, grace=600)
    run = cluster.run(package, {"overrides": other}, faults=[fault], tasks=["Trainer"])
    trainer = run.tasks["Trainer"]
    assert (trainer.state, trainer.attempts) == ("SUCCEEDED", 2), run.summary()
    assert "resuming in epoch" in trainer.logs[1].read_text()
    stopped = "error: Trainer: stopped by SIGTERM; progress is saved" in trainer.logs[0].read_text()
    assert stopped == (signal == Signals.SIGTERM)
    model = cluster.store.path(trainer.outputs["model"].uri)
    log = json.loads((model / "Format-Serving" / "assets.extra" / "training_log.json").read_text())
    assert log["resumed_from"][0] >= 1 and len(log["epochs"]) == 4 + seed


@pytest.mark.cluster
def test_a_killed_push_leaves_one_version_after_its_retry(empty_push_directory, cluster, package, volume):
    fault = Fault("Pusher", after="input model: ")
    run = cluster.run(package, faults=[fault])
    assert run.state == "SUCCEEDED" and run.tasks["Pusher"].attempts == 2, run.summary()
    assert versions(str(volume / "serving")) == [run.tasks["Pusher"].outputs["pushed_model"].metadata["pushed_version"]]


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("damage", "message", "epochs"),
    [
        (lambda model: shutil.rmtree(model), "which has no files: run the step that wrote it again", 2),
        (lambda model: (model / "Format-Serving" / "saved_model.pb").write_bytes(b"no model"), "error: Evaluator: ", 3),
    ],
)
def test_an_unreadable_input_fails_its_step_and_nothing_is_pushed(
    first, cluster, package, overrides, volume, damage, message, epochs
):
    # A training of its own, as the others share their model through the cache.
    other = json.dumps(overrides(f"training.max_epochs={epochs}"))
    before = versions(str(volume / "serving"))
    run = cluster.run(package, {"overrides": other}, before={"Evaluator": lambda task: damage(model_of(task, cluster))})
    assert run.tasks["Evaluator"].state == "FAILED" and run.tasks["Pusher"].state == "SKIPPED", run.summary()
    assert run.tasks["Evaluator"].outputs == {}
    stored = [path for path in cluster.store.path(f"{run.root}/Evaluator").rglob("*") if path.is_file()]
    assert stored and all(path.name.startswith("executor-logs-") for path in stored)  # logs of its attempts alone
    assert message in error_lines(run.tasks["Evaluator"])[-1]
    assert versions(str(volume / "serving")) == before


@pytest.mark.cluster
def test_a_cached_artifact_that_is_gone_is_cured_by_a_run_without_cache(first, cluster, package, overrides):
    parameters = {"overrides": json.dumps(overrides("training.max_epochs=1", "seed=7"))}
    run = cluster.run(package, parameters, tasks=["Trainer"])
    shutil.rmtree(cluster.store.path(run.tasks["Trainer"].outputs["model"].uri))
    run = cluster.run(package, parameters, tasks=["Evaluator"])
    resolver = run.tasks["ChampionResolver"]
    assert run.tasks["Trainer"].cached and resolver.state == "FAILED"
    assert len(set(error_lines(resolver))) == 1 and "submit --no-cache" in error_lines(resolver)[0]
    assert all(len(log.read_text().splitlines()) == 1 for log in resolver.logs), "no attempt imports TFX"
    run = cluster.run(package, parameters, tasks=["Evaluator"], cache=False)
    assert run.state == "SUCCEEDED", run.summary()


def model_of(task, cluster):
    return cluster.store.path(task.executor_input["inputs"]["artifacts"]["model"]["artifacts"][0]["uri"])
