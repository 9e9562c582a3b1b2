"""Each rule of the linter finds its own kind of broken package, and only that."""

import pytest
import yaml

from models.errors import InputError
from pipeline.cli import yt8m
from pipeline.kubeflow.compile.lint import lint
from pipeline.kubeflow.compile.package import compile_package


@pytest.fixture(scope="module")
def text(cluster):
    return compile_package(cluster(), "/mnt/yt8m/frame", "netvlad-8")


@pytest.fixture
def broken(text):
    """The problems of a package after a change of its two documents."""

    def build(change):
        documents = list(yaml.safe_load_all(text))
        change(*documents)
        return lint(yaml.safe_dump_all(documents))

    return build


def tasks(spec):
    return spec["root"]["dag"]["tasks"]


def container(spec, step="Trainer"):
    return spec["deploymentSpec"]["executors"][f"exec-{step}"]["container"]


def other_schema(spec, platform):
    spec["schemaVersion"] = "2.0.0"


def no_store(spec, platform):
    spec["defaultPipelineRoot"] = "/mnt/yt8m/root"


def name_for_python(spec, platform):
    tasks(spec)["example_gen"] = tasks(spec).pop("ImportSchemaGen")
    tasks(spec)["example_gen"]["taskInfo"]["name"] = "example_gen"
    for task in tasks(spec).values():
        task["dependentTasks"] = [name for name in task.get("dependentTasks", []) if name != "ImportSchemaGen"]
        for artifact in task.get("inputs", {}).get("artifacts", {}).values():
            if artifact["taskOutputArtifact"]["producerTask"] == "ImportSchemaGen":
                artifact["taskOutputArtifact"]["producerTask"] = "example_gen"


def name_of_another(spec, platform):
    tasks(spec)["Pusher"]["taskInfo"]["name"] = "Publisher"


def resolver(spec, platform):
    spec["deploymentSpec"]["executors"]["exec-ChampionResolver"] = {"resolver": {"outputArtifactQueries": {}}}


def driver_hook(spec, platform):
    container(spec, "ExampleGen")["lifecycle"] = {"preCacheCheck": {"command": ["python"]}}


def moving_image(spec, platform):
    container(spec)["image"] = "registry.example/yt8m:latest"


def platform_of_a_task(spec, platform):
    configs = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    configs["Trainer"] = configs["exec-Trainer"]


def task_that_is_none(spec, platform):
    tasks(spec)["Pusher"]["dependentTasks"].append("Evaluator_task")


def output_that_is_none(spec, platform):
    tasks(spec)["Pusher"]["inputs"]["artifacts"]["model"]["taskOutputArtifact"]["outputArtifactKey"] = "modle"


def parameter_of_none(spec, platform):
    source = tasks(spec)["Pusher"]["inputs"]["parameters"]["settings"]["taskOutputParameter"]
    source["outputParameterKey"] = "setting"


def no_executor(spec, platform):
    spec["components"]["comp-Pusher"]["executorLabel"] = "exec-pusher"


def no_default(spec, platform):
    del spec["root"]["inputDefinitions"]["parameters"]["data"]["defaultValue"]


def parameter_cut_off(spec, platform):
    del tasks(spec)["ResolveSettings"]["inputs"]["parameters"]["overrides"]


def host_path(spec, platform):
    container(spec, "ImportSchemaGen")["args"].append("--schema=/home/me/checkout/frame.pbtxt")


def host_data(spec, platform):
    spec["root"]["inputDefinitions"]["parameters"]["data"]["defaultValue"] = "/home/me/data"


def unmounted(spec, platform):
    del platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-Pusher"]["pvcMount"]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (other_schema, "schemaVersion is '2.0.0', KFP reads 2.1.0"),
        (no_store, "defaultPipelineRoot is '/mnt/yt8m/root', the launcher knows minio://, s3:// and gs://"),
        (name_for_python, "task example_gen: Argo's names have letters, digits and - (not first)"),
        (name_of_another, "task Pusher: taskInfo.name is 'Publisher', expected the task's name"),
        (resolver, "executor exec-ChampionResolver: is a resolver, open-source KFP runs containers and importers"),
        (driver_hook, "executor exec-ExampleGen: has a lifecycle hook, which open-source KFP never runs"),
        (moving_image, "executor exec-Trainer: image 'registry.example/yt8m:latest' has neither a tag other than"),
        (platform_of_a_task, "platform spec: Trainer is no executor, so Kubernetes never sees its settings"),
        (task_that_is_none, "task Pusher: depends on Evaluator_task, which is no task"),
        (output_that_is_none, "task Pusher: reads model from Trainer.modle: no output"),
        (parameter_of_none, "task Pusher: reads settings from ResolveSettings.setting: no output"),
        (no_executor, "task Pusher: has no component with an executor"),
        (no_default, "parameter data: has no default, a run without it would be refused"),
        (host_path, "executor exec-ImportSchemaGen: /home/me/checkout/frame.pbtxt lies on no volume that it mounts"),
        (host_data, "parameter data: /home/me/data lies on no volume"),
        (unmounted, "executor exec-Pusher: /mnt/yt8m/serving lies on no volume that it mounts"),
    ],
)
def test_a_broken_package_is_named_with_what_breaks_it(broken, change, problem):
    [found] = broken(change)
    assert found.startswith(problem)


def test_a_parameter_that_does_not_arrive_is_named_for_every_step(broken):
    found = broken(parameter_cut_off)
    assert "parameter overrides: does not reach Trainer" in found and len(found) == 12


def test_the_untouched_package_is_clean(broken):
    assert broken(lambda spec, platform: None) == []


@pytest.mark.parametrize("text", ["", "a: [", "a: 1\n---\nb: 2\n", "pipelineInfo: {name: yt8m}"])
def test_what_is_no_package_is_said_to_be_none(text):
    [found] = lint(text)
    assert found.startswith("not a package of a pipeline spec and a platform spec: ") and "\n" not in found


def test_the_command_says_every_problem_on_a_line(text, tmp_path, capsys):
    (tmp_path / "package.yaml").write_text(text.replace("2.1.0", "2.0.0").replace("/mnt/yt8m/serving", "/serving"))
    with pytest.raises(InputError, match=r"package.yaml: 13 problems"):
        yt8m.main(["lint", str(tmp_path / "package.yaml")], standalone_mode=False)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 13 and lines[0].startswith("schemaVersion is '2.0.0'")
