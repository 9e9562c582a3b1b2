"""The compiled package is complete, reproducible and readable by Kubeflow Pipelines."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from google.protobuf import json_format
from kfp import components
from kfp.kubernetes import kubernetes_executor_config_pb2
from kfp.pipeline_spec import pipeline_spec_pb2

from kfp_emulator.kubernetes_rules import refusals
from kfp_emulator.retries import NoRetry, RetryStrategy
from models.errors import InputError
from pipeline.cli import yt8m
from pipeline.experiments import catalogue
from pipeline.kubeflow.compile.lint import lint
from pipeline.kubeflow.compile.package import compile_package
from pipeline.kubeflow.compile.settings import read_cluster
from pipeline.kubeflow.parameters import read_parameters
from tests.docs.code_blocks import ROOT, blocks

GOLDEN = Path(__file__).parents[1] / "netvlad-8.yaml"
ONE_PER_ENCODER = {experiment.model.encoder.name: experiment.name for experiment in catalogue().values()}


@pytest.fixture(scope="module")
def compiled(cluster):
    """Compiles a package to its two documents."""

    def build(experiment="netvlad-8", overrides=(), **own):
        return list(yaml.safe_load_all(compile_package(cluster(**own), "/mnt/yt8m/frame", experiment, overrides)))

    return build


def executors(document):
    return document["platforms"]["kubernetes"]["deploymentSpec"]["executors"]


@pytest.mark.parametrize("experiment", ONE_PER_ENCODER.values())
def test_a_package_of_every_encoder_has_no_problems_and_loads(cluster, experiment, tmp_path):
    text = compile_package(cluster(work_directory="/mnt/yt8m/work"), "/mnt/yt8m/data", experiment)
    assert lint(text) == []
    spec, platform = yaml.safe_load_all(text)
    json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
    json_format.ParseDict(platform, pipeline_spec_pb2.PlatformSpec())
    for config in executors(platform).values():
        json_format.ParseDict(config, kubernetes_executor_config_pb2.KubernetesExecutorConfig())
    (tmp_path / "package.yaml").write_text(text)
    loaded = components.load_component_from_file(str(tmp_path / "package.yaml"))
    assert loaded.name == "yt8m" and loaded.platform_spec.platforms["kubernetes"]
    assert set(loaded.component_spec.inputs) == {"data", "experiment", "overrides"}


GOLDEN_CLUSTER = {
    "work_directory": "/mnt/yt8m/work",
    "secrets": [{"name": "store", "env": {"AWS_ACCESS_KEY_ID": "accesskey"}}],
    "env": {"AWS_ENDPOINT_URL": "http://store:9000"},
    "labels": {"team": "video"},
    "steps": {"Trainer": {"node_selector": {"gpu": "l4"}, "timeout_hours": 24}},
}


def test_the_package_equals_the_golden_file(cluster):
    """UPDATE_GOLDEN=1 rewrites the file; read the difference."""
    text = compile_package(cluster(**GOLDEN_CLUSTER), "/mnt/yt8m/frame", "netvlad-8", ["training.max_epochs=3"])
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text()


def test_another_checkout_compiles_the_same_bytes(tmp_path, cluster_file):
    folder = tmp_path / "home" / "checkout"
    folder.mkdir(parents=True)
    for package in ("pipeline", "components", "tuner", "models"):
        (folder / package).symlink_to(Path(__file__).parents[4] / package)
    command = "from pipeline.cli import yt8m; yt8m()"
    arguments = ["compile", "--cluster", str(cluster_file(**GOLDEN_CLUSTER)), "--data", "/mnt/yt8m/frame"]
    subprocess.run(
        [sys.executable, "-c", command, *arguments, "--experiment", "netvlad-8", "--set", "training.max_epochs=3"],
        cwd=folder,
        env=os.environ | {"PYTHONHASHSEED": "1", "HOME": str(folder.parent)},
        check=True,
    )
    assert (folder / "package.yaml").read_text() == GOLDEN.read_text()


def test_parameters_default_to_the_options_of_compile(compiled):
    spec, _ = compiled(overrides=["training.max_epochs=3"])
    parameters = spec["root"]["inputDefinitions"]["parameters"]
    assert {name: parameter["defaultValue"] for name, parameter in parameters.items()} == {
        "data": "/mnt/yt8m/frame",
        "experiment": "netvlad-8",
        "overrides": '["training.max_epochs=3"]',
    }


def test_only_trainer_and_tuner_get_a_gpu(compiled):
    spec, platform = compiled(overrides=["search=true"], gpu={"node_selector": {"gpu": "l4"}})
    containers = {label: executor["container"] for label, executor in spec["deploymentSpec"]["executors"].items()}
    on_gpus = {label for label, container in containers.items() if "accelerator" in container["resources"]}
    assert on_gpus == {"exec-Trainer", "exec-Tuner"}
    assert containers["exec-Trainer"]["resources"]["accelerator"] == {
        "resourceType": "nvidia.com/gpu",
        "resourceCount": "1",
    }
    with_selector = {label for label, config in executors(platform).items() if "nodeSelector" in config}
    assert with_selector == on_gpus


def test_steps_that_read_the_outside_world_are_not_cached(compiled):
    spec, _ = compiled()
    tasks = spec["root"]["dag"]["tasks"]
    cached = {name for name, task in tasks.items() if task["cachingOptions"].get("enableCache")}
    assert set(tasks) - cached == {"ResolveSettings", "DriftDetector", "ChampionResolver", "Pusher"}
    spec, _ = compiled(cache=False)
    assert not any(task["cachingOptions"].get("enableCache") for task in spec["root"]["dag"]["tasks"].values())


def test_the_steps_before_training_do_not_read_the_experiment(compiled):
    spec, _ = compiled()
    sources = {
        name: task["inputs"]["parameters"]["settings"]["taskOutputParameter"]["outputParameterKey"]
        for name, task in spec["root"]["dag"]["tasks"].items()
        if name != "ResolveSettings"
    }
    assert {name for name, output in sources.items() if output == "data_settings"} == {
        "ExampleGen",
        "DatasetStatistics",
        "ImportSchemaGen",
        "StatisticsGen",
        "ExampleValidator",
        "Transform",
    }


DAY = 24 * 3600


def test_steps_are_retried_with_backoff_in_a_window_for_all_attempts(compiled):
    spec, _ = compiled(retries={"max_retries": 3, "backoff_seconds": 30}, steps={"Trainer": {"timeout_hours": 48}})
    tasks = spec["root"]["dag"]["tasks"]
    # The first step would refuse the same parameters again.
    assert "retryPolicy" not in tasks["ResolveSettings"]
    expected = {"maxRetryCount": 3, "backoffDuration": "30s", "backoffFactor": 2.0}
    waits = 30 + 60 + 120
    window = f"{30 * DAY + waits}s"
    assert tasks["ExampleGen"]["retryPolicy"] == expected | {"backoffMaxDuration": window}
    window = f"{30 * DAY + waits + 4 * 2 * DAY}s"
    assert tasks["Trainer"]["retryPolicy"] == expected | {"backoffMaxDuration": window}


@pytest.mark.parametrize(
    ("hours", "seconds", "lost", "attempts"),
    [(None, 5 * 3600, False, 3), (None, 9 * DAY, False, 3), (48, 2 * DAY, False, 3), (None, 5, True, 1)],
)
def test_a_step_that_fails_late_is_retried_for_as_long_as_an_attempt_may_take(compiled, hours, seconds, lost, attempts):
    own = {"timeout_hours": hours} if hours else {}
    spec, _ = compiled(steps={"Trainer": own})
    strategy, elapsed = RetryStrategy.of(spec["root"]["dag"]["tasks"]["Trainer"]), 0.0
    with pytest.raises(NoRetry, match="Node not set to be retried" if lost else "No more retries left"):
        for attempt in itertools.count(1):
            if hours:
                assert strategy.window - elapsed >= hours * 3600, "the pod has the whole time"
            elapsed += seconds
            elapsed += strategy.wait(attempt, elapsed, lost)
    assert attempt == attempts


ON_VOLUME = {"artifacts": "volume", "artifact_directory": "/mnt/yt8m/artifacts"}


def test_steps_with_large_outputs_read_a_generation_that_is_part_of_their_cache_key(cluster, compiled):
    spec, _ = compiled(**ON_VOLUME)
    generations = {
        name: task["inputs"]["parameters"]["generation"]["taskOutputParameter"]["outputParameterKey"]
        for name, task in spec["root"]["dag"]["tasks"].items()
        if "generation" in task["inputs"]["parameters"]
    }
    assert generations == {name: f"{name}_generation" for name in ("ExampleGen", "Transform", "Trainer")}
    declared = spec["components"]["comp-ResolveSettings"]["outputDefinitions"]["parameters"]
    assert {name for name in declared if "generation" in name} == set(generations.values())
    for executor in spec["deploymentSpec"]["executors"].values():
        arguments = executor["container"]["args"]
        assert arguments[arguments.index("--artifact_directory") + 1] == "/mnt/yt8m/artifacts"
    assert lint(compile_package(cluster(**ON_VOLUME), "/mnt/yt8m/frame", "netvlad-8")) == []
    assert "generation" not in str(compiled(**ON_VOLUME, cache=False)), "the cache hands out nothing"


def test_kubernetes_refuses_no_pod_of_a_package(compiled):
    spec, platform = compiled(**GOLDEN_CLUSTER, image_pull_secrets=["registry.example"])
    for label, config in executors(platform).items():
        assert list(refusals(config, spec["deploymentSpec"]["executors"][label]["container"])) == []


def test_hyperparameters_are_imported_from_the_object_store(compiled):
    spec, platform = compiled(overrides=["hyperparameters=minio://mlpipeline/found"])
    importer = spec["deploymentSpec"]["executors"]["exec-ImportHyperparameters"]["importer"]
    assert importer["artifactUri"] == {"constant": "minio://mlpipeline/found"}
    assert "exec-ImportHyperparameters" not in executors(platform)


@pytest.mark.parametrize(
    ("data", "overrides", "own", "message"),
    [
        ("/data/frame", [], {}, "--data is '/data/frame', allowed on a cluster: gs://, s3:// or a path in /mnt/yt8m"),
        ("data/frame", [], {}, "--data is 'data/frame', allowed"),
        ("minio://bucket/frame", [], {}, "--data is 'minio://bucket/frame', allowed"),
        ("gs://b/f", ["data.vocabulary=/home/me/v.csv"], {}, "data.vocabulary is '/home/me/v.csv', allowed"),
        ("gs://b/f", ["data.validation_data=v/*"], {}, "data.validation_data is 'v/*', allowed on a cluster: gs://"),
        ("gs://b/f", ["data.test_data=/home/me/*"], {}, "data.test_data is '/home/me/*', allowed"),
        ("gs://b/f", ["hyperparameters=/mnt/yt8m/found"], {}, "hyperparameters is '/mnt/yt8m/found', allowed"),
        (
            "gs://b/f",
            ["model={encoder: {name: ensemble, members: [runs/a, runs/b]}}"],
            {},
            "members is 'runs/a', allowed",
        ),
        (
            "gs://b/f",
            ["training.warm_start=runs/a"],
            {},
            "training.warm_start is 'runs/a', allowed on a cluster: gs://",
        ),
        (
            "gs://b/f",
            ["training.teachers=[gs://b/m, s3://b/m]"],
            {},
            "training.teachers is 's3://b/m', allowed on",
        ),
        ("gs://b/f", ["training.max_epoch=3"], {}, "allowed: max_epochs"),
        ("gs://b/f", [], {"steps": {"Trianer": {"gpus": 2}}}, "cluster.steps.Trianer is not a step, allowed: Resolve"),
    ],
)
def test_settings_that_cannot_run_on_the_cluster_are_refused(cluster, data, overrides, own, message):
    with pytest.raises(InputError) as error:
        compile_package(cluster(**own), data, "netvlad-8", overrides)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_the_documented_cluster_file_compiles_to_a_package_without_problems(tmp_path):
    [block] = [block for block in blocks(ROOT / "docs" / "kubeflow.md") if block.language == "yaml"]
    (tmp_path / "cluster.yaml").write_text(block.text)
    text = compile_package(read_cluster(tmp_path / "cluster.yaml"), "/mnt/data/frame", "netvlad-100-gated")
    assert lint(text) == []
    spec, platform = yaml.safe_load_all(text)
    trainer = spec["deploymentSpec"]["executors"]["exec-Trainer"]["container"]
    assert trainer["image"].endswith("-gpu") and trainer["resources"]["accelerator"]["resourceCount"] == "1"
    assert executors(platform)["exec-Trainer"]["activeDeadlineSeconds"] == str(48 * 3600)


def test_a_users_own_experiment_is_in_the_package(tmp_path, cluster_file):
    (tmp_path / "mine.yaml").write_text("mine: {base: netvlad-8, training: {max_epochs: 7}}\n")
    cluster_file()
    arguments = ["--cluster", "cluster.yaml", "--experiment-file", "mine.yaml", "--out", "package.yaml"]
    paths = [argument if argument.startswith("--") else str(tmp_path / argument) for argument in arguments]
    yt8m.main(["compile", "--data", "gs://b/frame", "--experiment", "mine", *paths], standalone_mode=False)
    text = (tmp_path / "package.yaml").read_text()
    spec, _ = yaml.safe_load_all(text)
    experiment = spec["root"]["inputDefinitions"]["parameters"]["experiment"]["defaultValue"]
    settings = read_parameters("gs://b/frame", experiment, "[]")
    assert (settings.experiment, settings.training.max_epochs) == ("mine", 7)
    assert str(tmp_path) not in text


def test_the_command_writes_the_package_and_warns_that_nothing_resumes(tmp_path, cluster_file, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    required = ["compile", "--cluster", cluster_file().name, "--data", "/mnt/yt8m/frame", "--experiment", "netvlad-8"]
    optional = [
        "--validation-data",
        "gs://b/held",
        "--split",
        "id:90/10",
        "--seed",
        "3",
        "--tune",
        "--set",
        "cluster.image=yt8m:2",
    ]
    yt8m.main([*required, *optional], standalone_mode=False)
    printed = capsys.readouterr()
    assert "no resume: cluster.work_directory is not set" in printed.err
    assert (
        "through the store: Kubeflow Pipelines copies examples, transformed_examples, model, champion to minio://ml"
        in printed.err
    )
    assert (
        "no retry: Kubeflow Pipelines retries no step whose node is lost" in printed.err
        and "package: package.yaml" in printed.out
    )
    spec, _ = yaml.safe_load_all(Path("package.yaml").read_text())
    default = spec["root"]["inputDefinitions"]["parameters"]["overrides"]["defaultValue"]
    assert json.loads(default) == [
        'data.validation_data="gs://b/held"',
        'data.split="id:90/10"',
        "seed=3",
        "search=true",
    ]
    assert "Tuner" in spec["root"]["dag"]["tasks"]
    assert spec["deploymentSpec"]["executors"]["exec-Tuner"]["container"]["image"] == "yt8m:2"
    yt8m.main([*required, "--set", "cluster.work_directory=/mnt/yt8m/work"], standalone_mode=False)
    assert "no resume" not in capsys.readouterr().err
    on_volume = [word for name, value in ON_VOLUME.items() for word in ("--set", f"cluster.{name}={value}")]
    yt8m.main([*required, *on_volume], standalone_mode=False)
    assert "through the store" not in capsys.readouterr().err
    yt8m.main(["lint", "package.yaml"], standalone_mode=False)
    assert "no problems" in capsys.readouterr().out
