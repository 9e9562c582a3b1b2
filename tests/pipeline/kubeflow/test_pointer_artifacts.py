"""A package whose large artifacts stay on a volume scores the same, and no step is left without its input."""

import json
import re
import shutil

import pytest

from kfp_emulator.emulator import Emulator, Fault
from pipeline.kubeflow.compile.package import compile_package
from pipeline.kubeflow.compile.settings import ClusterSettings
from pipeline.kubeflow.container.pointers import POINTER
from pipeline.kubeflow.outputs import LARGE_OUTPUTS

pytestmark = pytest.mark.cluster

PRELOAD = ("pipeline.kubeflow.container.step", "pipeline.kubeflow.parameters")
VOLUME = "/mnt/yt8m"
ARTIFACTS = {"artifacts": "volume", "artifact_directory": f"{VOLUME}/artifacts"}


@pytest.fixture(scope="module")
def volumes(tmp_path_factory, frames):
    """The folders behind two claims, each with the data of `finished_run`."""
    folders = {claim: tmp_path_factory.mktemp(claim) for claim in ("store", "volume")}
    for folder in folders.values():
        shutil.copytree(frames, folder / "frames")
    return folders


@pytest.fixture(scope="module")
def cluster(pods_allowed, tmp_path_factory, volumes):
    folder = tmp_path_factory.mktemp("cluster")
    with Emulator(folder, preload=PRELOAD, claims=volumes, strict_outputs=True, cache=True) as emulator:
        yield emulator


@pytest.fixture(scope="module")
def overrides(finished_run):
    return [word for word in finished_run.arguments if word != "--set"]


@pytest.fixture(scope="module")
def package(tmp_path_factory, overrides):
    """Compiles a package whose steps mount a claim."""

    def build(claim, **own):
        settings = ClusterSettings.model_validate(
            {
                "image": "registry.example/yt8m:0.1.0",
                "pipeline_root": "minio://mlpipeline/v2/artifacts",
                "push_directory": f"{VOLUME}/serving",
                "work_directory": f"{VOLUME}/work",
                "volumes": [{"claim": claim, "path": VOLUME}],
                "retries": {"max_retries": 1},
                **own,
            }
        )
        path = tmp_path_factory.mktemp("package") / "package.yaml"
        path.write_text(compile_package(settings, f"{VOLUME}/frames", "netvlad-8", overrides))
        return path

    return build


@pytest.fixture(scope="module")
def in_place(package):
    return package("volume", **ARTIFACTS)


@pytest.fixture(scope="module")
def first(cluster, in_place):
    run = cluster.run(in_place)
    assert run.state == "SUCCEEDED", run.summary()
    return run


def on_volume(volumes, run, step, output):
    """The folder of a run's artifact on the volume."""
    [folder] = (volumes["volume"] / "artifacts" / "yt8m" / run.id / step).glob(f"{output}-*")
    return folder


def moved(cluster, run):
    """Bytes through the store, by step and output."""
    return {
        (name, key): cluster.store.moved[artifact.uri]
        for name, task in run.tasks.items()
        for key, artifact in task.outputs.items()
    }


def test_scores_are_equal_and_large_artifacts_do_not_move(first, cluster, package, volumes):
    copied = cluster.run(package("store"))
    assert copied.state == "SUCCEEDED", copied.summary()
    metadata = [run.tasks["Evaluator"].outputs["scores"].metadata for run in (first, copied)]
    scores = [{name: value for name, value in each.items() if isinstance(value, float)} for each in metadata]
    assert "f1" in scores[0] and scores[0] == pytest.approx(scores[1], abs=1e-6)

    large = {(step, name) for step, names in LARGE_OUTPUTS.items() if step in first.tasks for name in names}
    pointers, files = moved(cluster, first), moved(cluster, copied)
    assert sum(pointers[name] for name in large) < 10_000, pointers
    assert sum(files[name] for name in large) > 30_000_000, files
    small = {name: size for name, size in pointers.items() if name[1] not in ("page", "statistics", "executor-logs")}
    assert sum(small.values()) < 1_000_000, small
    for step, name in large:
        uri = first.tasks[step].outputs[name].uri
        assert [path.name for path in cluster.store.path(uri).iterdir()] == [POINTER]
        pointer = json.loads((cluster.store.path(uri) / POINTER).read_text())
        assert volumes["volume"] / "artifacts" / pointer["path"] == on_volume(volumes, first, step, name)


def test_a_step_whose_artifact_is_gone_runs_again_although_kfp_has_it_in_its_cache(first, cluster, in_place, volumes):
    again = cluster.run(in_place, tasks=["Trainer"])
    assert all(again.tasks[name].cached for name in ("ExampleGen", "Transform", "Trainer")), again.summary()
    shutil.rmtree(on_volume(volumes, first, "Trainer", "model"))
    run = cluster.run(in_place, tasks=["ChampionResolver"])
    assert run.state == "SUCCEEDED", run.summary()
    assert run.tasks["ExampleGen"].cached and run.tasks["Transform"].cached and not run.tasks["Trainer"].cached

    shutil.rmtree(on_volume(volumes, first, "ExampleGen", "examples"))
    run = cluster.run(in_place, tasks=["Transform"])
    assert run.state == "SUCCEEDED", run.summary()
    assert not run.tasks["ExampleGen"].cached and not run.tasks["Transform"].cached
    run = cluster.run(in_place, tasks=["Transform"])
    assert run.tasks["ExampleGen"].cached and run.tasks["Transform"].cached, run.summary()


def test_what_is_gone_in_the_middle_of_a_run_ends_it_with_one_line(cluster, in_place, volumes):
    def damage(task):
        for split in (volumes["volume"] / "artifacts").glob("yt8m/*/ExampleGen/examples-*/Split-train"):
            shutil.rmtree(split)

    run = cluster.run(in_place, tasks=["StatisticsGen"], before={"StatisticsGen": damage}, cache=False)
    task = run.tasks["StatisticsGen"]
    assert (task.state, task.attempts) == ("FAILED", 2), run.summary()
    lines = task.log.splitlines()
    assert len(lines) == 2 and len(set(lines)) == 1, "no attempt imports TFX"
    path = rf"{VOLUME}/artifacts/yt8m/{run.id}/ExampleGen/examples-\w+"
    assert re.fullmatch(
        rf"error: StatisticsGen: input examples: {path} has [0-9]+ files, its pointer says [0-9]+: "
        "ExampleGen must run again; submit the run again",
        lines[0],
    )
    run = cluster.run(in_place, tasks=["StatisticsGen"])
    assert run.state == "SUCCEEDED" and not run.tasks["ExampleGen"].cached, run.summary()


def test_a_killed_training_leaves_a_half_written_model_that_no_step_reads(first, cluster, in_place, volumes, overrides):
    other = {"overrides": json.dumps([*overrides, "training.max_epochs=5"])}
    run = cluster.run(in_place, other, tasks=["ChampionResolver"], faults=[Fault("Trainer", after="epoch 2: ")])
    assert run.state == "SUCCEEDED" and run.tasks["Trainer"].attempts == 2, run.summary()
    names = sorted(path.name for path in (volumes["volume"] / "artifacts" / "yt8m" / run.id / "Trainer").iterdir())
    assert [name.rpartition("-")[0] for name in names] == [".writing-model", "model"]
