"""The compiled pipeline runs end to end, scores what a local run scores, and ends clearly where something fails."""

import json
import shutil
from signal import Signals

import pytest

from components.served_models import versions
from kfp_emulator.emulator import Emulator, Fault
from kfp_emulator.sdk_runner import run_locally
from models.training.log import TrainingLog
from pipeline.command_line import yt8m
from pipeline.kubeflow.log_lines import RESULT, SCORES, find_line
from pipeline.kubeflow.package import compile_package
from pipeline.kubeflow.settings import ClusterSettings

# Steps find these imported; what a step decides is imported with it.
PRELOAD = ("pipeline.kubeflow.step", "pipeline.kubeflow.parameters")

VOLUME = "/mnt/yt8m"

SMALL = ["training.max_epochs=2", "training.batch_size=8", "model.hidden_units=[16]"]

# What comes before training: the same for all experiments on the same data.
OF_THE_DATA = {"ExampleGen", "DatasetStatistics", "ImportSchemaGen", "StatisticsGen", "ExampleValidator", "Transform"}


@pytest.fixture(scope="module")
def volume(tmp_path_factory):
    """The folder behind the claim, with a synthetic frame-level data set of seven labels."""
    folder = tmp_path_factory.mktemp("volume")
    arguments = ["synth", "--level", "frame", "--videos", "120", "--labels", "7", str(folder / "frames")]
    yt8m.main(arguments, standalone_mode=False)
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
def package(tmp_path_factory, settings):
    path = tmp_path_factory.mktemp("package") / "package.yaml"
    path.write_text(compile_package(settings, f"{VOLUME}/frames", "netvlad-8", SMALL))
    return path


@pytest.fixture(scope="module")
def first(cluster, package):
    """A run that nothing disturbed."""
    run = cluster.run(package)
    assert run.state == "SUCCEEDED", run.summary()
    return run


def test_the_package_runs_twice_and_scores_what_a_local_run_scores(cluster, package, first, volume, tmp_path):
    [version] = versions(str(volume / "serving"))
    assert first.tasks["Pusher"].outputs["pushed_model"].metadata["pushed_version"] == version
    assert first.tasks["ChampionResolver"].outputs["champion"].metadata["champion_version"] == ""

    scores = first.tasks["Evaluator"].outputs["scores"]
    assert scores.type == "system.Metrics"
    assert {"f1", "precision", "recall", "gap"} <= scores.metadata.keys()
    told = find_line(SCORES, first.tasks["Evaluator"].log)
    assert "f1" in told and told.items() <= scores.metadata.items()
    arguments = ["run", "--data", str(volume / "frames"), "--experiment", "netvlad-8", "--out", str(tmp_path / "run")]
    yt8m.main([*arguments, *(word for item in SMALL for word in ("--set", item))], standalone_mode=False)
    splits = json.loads((tmp_path / "run" / "scores.json").read_text())["splits"]
    expected = {name: score for name, score in splits["test"].items() if isinstance(score, float)}
    assert {name: scores.metadata[name] for name in expected} == pytest.approx(expected, abs=1e-6)
    result = find_line(RESULT, first.tasks["Evaluator"].log)
    found = {split: result["scores"]["splits"][split]["f1"] for split in ("train", "validation")}
    assert found == pytest.approx({split: splits[split]["f1"] for split in found}, abs=1e-6)
    assert result["scores"]["synthetic"] and result["settings"]["experiment"] == "netvlad-8"
    assert TrainingLog.from_json(json.dumps(result["training_log"])).epochs[1].epoch == 1

    second = cluster.run(package, {"overrides": json.dumps([*SMALL, "training.max_epochs=3"])})
    assert second.state == "SUCCEEDED", second.summary()
    assert {name for name, task in second.tasks.items() if task.cached} == OF_THE_DATA
    assert second.tasks["ChampionResolver"].outputs["champion"].metadata["champion_version"] == version
    verdict = cluster.store.path(second.tasks["Evaluator"].outputs["evaluation"].uri) / "verdict.json"
    assert json.loads(verdict.read_text())["champion_version"] == version
    blessed = second.tasks["Evaluator"].outputs["blessing"].metadata["blessed"]
    assert len(versions(str(volume / "serving"))) == 1 + int(blessed)

    pages = {
        name: cluster.store.path(task.outputs["page"].uri).read_text()
        for name, task in second.tasks.items()
        if "page" in task.outputs and task.outputs["page"].type == "system.HTML"
    }
    assert pages.keys() == {"DatasetStatistics", "ExampleValidator", "DriftDetector", "Trainer", "Evaluator"}
    for page in pages.values():
        assert "<html" in page and "could not be made" not in page and 'src="http' not in page


@pytest.mark.cluster
def test_the_package_runs_under_the_sdk_too(package, first, volume, tmp_path):
    for version in versions(str(volume / "serving")):
        (volume / "serving" / version).rename(volume / version)  # scores are then those of a first run
    run = run_locally(package, tmp_path, preload=PRELOAD, mounts={VOLUME: volume})
    found = json.loads((run.output("Evaluator", "evaluation") / "verdict.json").read_text())["slices"][0]["scores"]
    expected = first.tasks["Evaluator"].outputs["scores"].metadata
    assert {name: found[name] for name in found if name in expected} == pytest.approx(
        {name: expected[name] for name in found if name in expected}, abs=1e-6
    )
    assert (run.output("Trainer", "page")).read_text().startswith("<!doctype html>")


@pytest.mark.cluster
def test_a_search_shows_its_trials_and_its_result_can_be_imported(cluster, settings, tmp_path):
    small = ["tune.max_trials=1", "tune.max_epochs=1", "tune.oracle=random", "search=true"]
    path = tmp_path / "package.yaml"
    path.write_text(compile_package(settings, f"{VOLUME}/frames", "netvlad-8", [*SMALL, *small]))
    run = cluster.run(path, tasks=["Trainer"])
    assert run.state == "SUCCEEDED", run.summary()
    tuner = run.tasks["Tuner"]
    assert "1 of 1 trials scored" in cluster.store.path(tuner.outputs["page"].uri).read_text()
    found = f"hyperparameters={tuner.outputs['best_hyperparameters'].uri}"
    path.write_text(compile_package(settings, f"{VOLUME}/frames", "netvlad-8", [*SMALL, found]))
    run = cluster.run(path, tasks=["Trainer"])
    assert run.state == "SUCCEEDED", run.summary()
    assert "ImportHyperparameters" in run.tasks


def lines(task):
    """What a failed step says last, an attempt each."""
    return [line for line in task.log.splitlines() if line.startswith("error: ")]


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"data": f"{VOLUME}/nothing"}, "data: no file matches '/mnt/yt8m/nothing'"),
        ({"experiment": "netvlad-9"}, "experiment is 'netvlad-9', allowed: netvlad-8"),
        ({"experiment": "average-2304-1152"}, "holds frame-level records, the experiment reads video-level ones"),
        ({"experiment": "frame-average-2304-1152"}, "compile anew"),
        ({"overrides": '["training.max_epoch=3"]'}, "training.max_epoch is no setting, allowed: max_epochs"),
    ],
)
def test_a_wrong_parameter_ends_a_run_before_any_work_with_one_line(cluster, package, parameters, message):
    run = cluster.run(package, parameters)
    states = {name: task.state for name, task in run.tasks.items()}
    assert states == dict.fromkeys(states, "SKIPPED") | {"ResolveSettings": "FAILED"}
    assert message in lines(run.tasks["ResolveSettings"])[0]
    assert "Traceback" not in run.tasks["ResolveSettings"].log


@pytest.mark.cluster
@pytest.mark.parametrize(("signal", "seed"), [(Signals.SIGKILL, 1), (Signals.SIGTERM, 2)])
def test_a_training_that_is_taken_away_goes_on_in_its_next_attempt(first, cluster, package, signal, seed):
    # Another number of epochs is another training, of the same data.
    overrides = json.dumps([*SMALL, f"training.max_epochs={3 + seed}"])
    fault = Fault("Trainer", after="epoch 2: ", signal=signal)  # the first has been saved
    run = cluster.run(package, {"overrides": overrides}, faults=[fault], tasks=["Trainer"])
    trainer = run.tasks["Trainer"]
    assert (trainer.state, trainer.attempts) == ("SUCCEEDED", 2), run.summary()
    assert "resuming in epoch" in trainer.logs[1].read_text()
    stopped = "error: Trainer: stopped by SIGTERM; what was trained is saved" in trainer.logs[0].read_text()
    assert stopped == (signal == Signals.SIGTERM)
    model = cluster.store.path(trainer.outputs["model"].uri)
    log = json.loads((model / "Format-Serving" / "assets.extra" / "training_log.json").read_text())
    assert log["resumed_from"][0] >= 1 and len(log["epochs"]) == 3 + seed


@pytest.mark.cluster
def test_a_push_that_is_killed_leaves_one_version_when_it_is_begun_again(first, cluster, package, volume):
    for version in versions(str(volume / "serving")):
        (volume / "serving" / version).rename(volume / version)
    fault = Fault("Pusher", after="input model: ")
    run = cluster.run(package, faults=[fault])
    assert run.state == "SUCCEEDED" and run.tasks["Pusher"].attempts == 2, run.summary()
    assert versions(str(volume / "serving")) == [run.tasks["Pusher"].outputs["pushed_model"].metadata["pushed_version"]]


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda model: shutil.rmtree(model), "which holds no file: the step that wrote it must run again"),
        (lambda model: (model / "Format-Serving" / "saved_model.pb").write_bytes(b"no model"), "error: Evaluator: "),
    ],
)
def test_an_input_that_cannot_be_read_fails_its_step_and_nothing_is_published(
    first, cluster, package, volume, damage, message
):
    overrides = json.dumps([*SMALL, f"evaluation.thresholds.gap.max={0.9 + len(message) / 1000}"])
    before = versions(str(volume / "serving"))
    run = cluster.run(
        package, {"overrides": overrides}, before={"Evaluator": lambda task: damage(model_of(task, cluster))}
    )
    assert run.tasks["Evaluator"].state == "FAILED" and run.tasks["Pusher"].state == "SKIPPED", run.summary()
    assert run.tasks["Evaluator"].outputs == {}
    assert not cluster.store.path(f"{run.root}/Evaluator").exists()
    assert message in lines(run.tasks["Evaluator"])[-1]
    assert versions(str(volume / "serving")) == before


def model_of(task, cluster):
    return cluster.store.path(task.executor_input["inputs"]["artifacts"]["model"]["artifacts"][0]["uri"])
